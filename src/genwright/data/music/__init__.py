"""Music: notes of MIDI, ABC and MusicXML, and piano rolls."""
