"""In which encoding a text is, where nobody says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from genwright.data.encodings import encodings

TEXTS = {
    "zh": "远处的山上下了一场大雪,孩子们都跑出去玩。这是我们在城里最好的一天,人们说明年还会来。\n我喜欢在早上喝茶。",
    "tw": "遠處的山上下了一場大雪,孩子們都跑出去玩。這是我們在城裡最好的一天,人們說明年還會來。\n我喜歡在早上喝茶。",
    "ja": "山の上に雪が降りました。子供たちは外で遊んでいます。今日はとても良い天気です。\nこれはリンゴとバナナです。",
    "ko": "산 위에 눈이 내렸습니다. 아이들은 밖에서 놀고 있습니다. 오늘은 날씨가 아주 좋습니다.\n이것은 사과입니다.",
    "ru": "На далёких горах выпал снег, и дети побежали играть. Это лучший день в городе.\nЯ люблю пить чай по утрам.",
    "uk": "На далеких горах випав сніг, і діти побігли гратися. Це найкращий день у місті.\nЯ люблю пити чай вранці.",
    "el": "Στα μακρινά βουνά έπεσε χιόνι και τα παιδιά βγήκαν να παίξουν. Είναι η καλύτερη μέρα.",
    "de": "Über den fernen Bergen fiel Schnee, und die Kinder liefen hinaus, um zu spielen. Grüße aus Köln für 5 €.",
    "fr": "Sur les montagnes éloignées la neige est tombée, et les élèves sont sortis. « L’été » à la forêt, où ça ?",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        *(("zh", "gb18030"), ("zh", "utf-8"), ("tw", "big5"), ("ja", "cp932"), ("ja", "euc_jp")),
        *(("ko", "cp949"), ("ru", "cp1251"), ("ru", "koi8_r"), ("uk", "cp1251"), ("el", "cp1253")),
        *(("de", "cp1252"), ("de", "utf-8"), ("de", "utf-8-sig"), ("fr", "cp1252")),
    ],
)
@pytest.mark.parametrize("form", ["{}", "id;text;x\n1;{};2.5\n", "words in English, and\n" * 90 + "{}"])
def test_old_encodings_are_found(tmp_path: Path, language: str, encoding: str, form: str) -> None:
    file, text = tmp_path / "a.txt", form.format(TEXTS[language])
    file.write_bytes(text.encode(encoding))
    for found in encodings(file):
        try:
            read = file.read_bytes().decode(found)
            break
        except UnicodeError:
            continue
    assert read == text, found


def test_anything_is_read_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(256)))
    assert list(encodings(tmp_path / "a"))[-1] == "latin-1"
    (tmp_path / "b").write_bytes(b"")
    assert next(encodings(tmp_path / "b")) == "utf-8-sig"
