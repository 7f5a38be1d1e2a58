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
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności. Są oni obdarzeni rozumem, źródło.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Mají spolu jednat bratrsky, řeč.",
    "sk": "Všetci ľudia sa rodia slobodní a rovní, čo sa týka ich dôstojnosti. Majú navzájom jednať v dobrom, kôň.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Ésszel bírván, gyönyörű erdők.",
    "hr": "Sva ljudska bića rađaju se slobodna i jednaka. Ona su obdarena sviješću i trebaju čuti jedna drugu.",
    "ro": "Toate fiinţele umane se nasc libere şi egale în demnitate. Ele sunt înzestrate cu raţiune şi conştiinţă.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler, İzmir çok.",
    "lt": "Visi žmonės gimsta laisvi ir lygūs savo orumu. Jiems suteiktas protas ir sąžinė, elgtųsi kaip broliai, čia.",
    "lv": "Visi cilvēki piedzimst brīvi un vienlīdzīgi. Viņi ir apveltīti ar saprātu, tiem jāizturas brālīgi šķirti.",
    "es": "Todos los seres humanos nacen libres e iguales. ¿Año, corazón y razón? ¡Sí! En el 3.º día, pingüino.",
    "pt": "Todos os seres humanos nascem livres em dignidade e direitos. São dotados de razão e consciência, aí põe.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità. Così è la città, perché più virtù ne verrà.",
    "nl": "Alle mensen worden vrij geboren, met één geweten. Reünie, coöperatie, geïnteresseerd, ideeën.",
    "sv": "Alla människor är födda fria och lika i värde. De är utrustade med förnuft och bör handla så.",
    "da": "Alle mennesker er født frie og lige i værdighed. De er udstyret med fornuft, og de bør handle så på øen.",
    "is": "Hver maður er borinn frjáls og jafn öðrum að virðingu. Menn eru gæddir vitsmunum, það er þörf.",
    "ca": "Tots els éssers humans neixen lliures i iguals. Són dotats de raó i consciència, això és l'opinió façana.",
    "et": "Kõik inimesed sünnivad vabadena ja võrdsetena. Neile on antud mõistus, nad peavad käituma vendlikult, öö.",
    "names": "Søren, Hélène, José, María, Jürgen, Åse, François, João",
    "fr": "Sur les montagnes éloignées la neige est tombée, et les élèves sont sortis. « L’été » à la forêt, où ça ?",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        *(("zh", "gb18030"), ("zh", "utf-8"), ("tw", "big5"), ("ja", "cp932"), ("ja", "euc_jp")),
        *(("ko", "cp949"), ("ru", "cp1251"), ("ru", "koi8_r"), ("uk", "cp1251"), ("el", "cp1253")),
        *(("de", "cp1252"), ("de", "utf-8"), ("de", "utf-8-sig"), ("fr", "cp1252"), ("names", "cp1252")),
        *((language, "cp1250") for language in ("pl", "cs", "sk", "hu", "hr", "ro")),
        *((language, "iso8859_2") for language in ("pl", "cs", "sk", "hu")),
        *(("tr", "cp1254"), ("lt", "cp1257"), ("lv", "cp1257")),
        *((language, "cp1252") for language in ("es", "pt", "it", "nl", "sv", "da", "is", "ca", "et")),
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


@pytest.mark.parametrize(
    ("encoding", "one", "other"),
    [
        ("cp932", "はい", "いいえ"),
        ("cp949", "예", "아니오"),
        ("big5", "台北", "高雄"),
        ("gb18030", "北京", "上海"),
    ],
)
def test_cells_of_two_words_are_enough(tmp_path: Path, encoding: str, one: str, other: str) -> None:
    file, text = (
        tmp_path / "a.csv",
        "id,a\n" + "".join(f"{i},{(one, other)[i % 2]}\n" for i in range(20)),
    )
    file.write_bytes(text.encode(encoding))
    found = next(name for name in encodings(file) if name != "utf-8-sig")
    assert file.read_bytes().decode(found) == text
