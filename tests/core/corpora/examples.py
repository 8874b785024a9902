"""Five lines of every layout, made up after its public source, and a malformed line of each with its message."""

from typing import Any, NamedTuple

CODED = "speaker utterance codec transmission attack key trim phase"
TITLES = "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"
AV = "source,target1,target2,method,category,type,race,gender,filename,path"


class Example(NamedTuple):
    """A corpus of one layout.

    `protocols` are files and their text, and `recordings` are empty files, all relative to the folder of the corpus.
    `expected` maps partitions to `(utterance, label, speaker, attack)` of every utterance. `malformed` is appended to
    the first protocol, and `message` follows `FILE:LINE: `; no malformed line: the layout has no protocol.
    """

    options: dict[str, Any]
    protocols: dict[str, str]
    recordings: str
    expected: dict[str, list[tuple[str, int, str, str]]]
    malformed: str
    message: str


EXAMPLES = {
    "asvspoof2015": Example(
        {},
        {
            "CM_protocol/cm_train.trn": "T1 T1_1 human human\nT1 T1_2 S1 spoof\n",
            "CM_protocol/cm_develop.ndx.txt": "D1 D1_1 human human\nD1 D1_2 S5 spoof\n",
            "CM_protocol/cm_evaluation.ndx": "E1 E1_1 S10 spoof\n",
        },
        "wav/T1/T1_1.wav wav/T1/T1_2.wav wav/D1/D1_1.wav wav/D1/D1_2.wav wav/E1/E1_1.wav",
        {
            "train": [("T1_1", 1, "T1", "-"), ("T1_2", 0, "T1", "S1")],
            "dev": [("D1_1", 1, "D1", "-"), ("D1_2", 0, "D1", "S5")],
            "eval": [("E1_1", 0, "E1", "S10")],
        },
        "T1 T1_3 S2 fake",
        "key 'fake'; it is human or spoof",
    ),
    "asvspoof2017": Example(
        {},
        {
            "protocol_V2/ASVspoof2017_V2_train.trn.txt": (
                "T_1.wav genuine M0001 S01 - - -\nT_2.wav spoof M0001 S02 E01 P02 R04\n"
            ),
            "protocol_V2/ASVspoof2017_V2_dev.trl.txt": (
                "D_1.wav genuine M0011 S01 - - -\nD_2.wav spoof M0011 S02 E03 P10 R04\n"
            ),
            "protocol_V2/ASVspoof2017_V2_eval.trl.txt": "E_1.wav spoof M0021 S05 E18 P05 R06\n",
        },
        "ASVspoof2017_V2_train/T_1.wav ASVspoof2017_V2_train/T_2.wav ASVspoof2017_V2_dev/D_1.wav "
        "ASVspoof2017_V2_dev/D_2.wav ASVspoof2017_V2_eval/E_1.wav",
        {
            "train": [("T_1", 1, "M0001", "-"), ("T_2", 0, "M0001", "E01-P02-R04")],
            "dev": [("D_1", 1, "M0011", "-"), ("D_2", 0, "M0011", "E03-P10-R04")],
            "eval": [("E_1", 0, "M0021", "E18-P05-R06")],
        },
        "T_3.wav genuine M0001 S01",
        "4 columns; there are 7: file key speaker phrase environment playback recording",
    ),
    "asvspoof2019_la": Example(
        {"prefix": "ASVspoof2019_PA", "protocol_prefix": "ASVspoof2019.PA.cm"},
        {
            "ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.train.trn.txt": (
                "PA_0079 PA_T_1 aaa - bonafide\nPA_0079 PA_T_2 aab AA spoof\n"
            ),
            "ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.dev.trl.txt": (
                "PA_0069 PA_D_1 aba - bonafide\nPA_0069 PA_D_2 abb CC spoof\n"
            ),
            "ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.eval.trl.txt": "PA_0001 PA_E_1 bba BA spoof\n",
        },
        "ASVspoof2019_PA_train/flac/PA_T_1.flac ASVspoof2019_PA_train/flac/PA_T_2.flac "
        "ASVspoof2019_PA_dev/flac/PA_D_1.flac ASVspoof2019_PA_dev/flac/PA_D_2.flac "
        "ASVspoof2019_PA_eval/flac/PA_E_1.flac",
        {
            "train": [("PA_T_1", 1, "PA_0079", "-"), ("PA_T_2", 0, "PA_0079", "AA")],
            "dev": [("PA_D_1", 1, "PA_0069", "-"), ("PA_D_2", 0, "PA_0069", "CC")],
            "eval": [("PA_E_1", 0, "PA_0001", "BA")],
        },
        "PA_0079 PA_T_3 AA spoof",
        "4 columns; there are 5: speaker utterance - attack key",
    ),
    "asvspoof2021": Example(
        {"track": "all"},
        {
            "keys/DF/CM/trial_metadata.txt": (
                "LA_0023 DF_E_1 nocodec asvspoof A14 spoof notrim eval traditional_vocoder - - - -\n"
                "TEF2 DF_E_2 low_mp3 vcc2020 - bonafide notrim eval bonafide - - - -\n"
            ),
            "keys/LA/CM/trial_metadata.txt": (
                "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval\n"
                "LA_0007 LA_E_2 none - bonafide bonafide notrim eval\n"
                "LA_0007 LA_E_3 none - bonafide bonafide notrim progress\n"
            ),
        },
        "ASVspoof2021_DF_eval/flac/DF_E_1.flac ASVspoof2021_DF_eval/flac/DF_E_2.flac "
        "ASVspoof2021_LA_eval/flac/LA_E_1.flac ASVspoof2021_LA_eval/flac/LA_E_2.flac",
        {
            "eval": [
                ("DF_E_1", 0, "LA_0023", "A14"),
                ("DF_E_2", 1, "TEF2", "-"),
                ("LA_E_1", 0, "LA_0009", "A07"),
                ("LA_E_2", 1, "LA_0007", "-"),
            ]
        },
        "LA_0023 DF_E_3 nocodec asvspoof A14 spoof notrim",
        f"7 columns; there are at least 8: {CODED}",
    ),
    "asvspoof5": Example(
        {},
        {
            "ASVspoof5_protocols/ASVspoof5.train.tsv": (
                "T_4850 T_0000000001 F - - - - bonafide bonafide -\nT_4850 T_0000000002 F - - - AC3 A05 spoof -\n"
            ),
            "ASVspoof5_protocols/ASVspoof5.dev.track_1.tsv": (
                "D_0062 D_0000000001 F - - - - bonafide bonafide -\nD_0062 D_0000000002 F - - - AC1 A11 spoof -\n"
            ),
            "ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv": (
                "E_1607 E_0000000002 M C03 3 E_0000000009 AC2 A26 spoof -\n"
            ),
        },
        "flac_T/T_0000000001.flac flac_T/T_0000000002.flac flac_D/D_0000000001.flac flac_D/D_0000000002.flac "
        "flac_E_eval/E_0000000002.flac",
        {
            "train": [("T_0000000001", 1, "T_4850", "-"), ("T_0000000002", 0, "T_4850", "A05")],
            "dev": [("D_0000000001", 1, "D_0062", "-"), ("D_0000000002", 0, "D_0062", "A11")],
            "eval": [("E_0000000002", 0, "E_1607", "A26")],
        },
        "T_4850 T_0000000003 F - A05 spoof",
        "6 columns; there are 10: speaker utterance gender codec codec_q codec_seed attack_tag attack key tmp",
    ),
    "in_the_wild": Example(
        {},
        {"meta.csv": "file,speaker,label\n0.wav,Alan Watts,spoof\n1.wav,Alan Watts,bona-fide\n2.wav,Ada,spoof\n"},
        "0.wav 1.wav 2.wav",
        {"eval": [("0.wav", 0, "Alan Watts", "-"), ("1.wav", 1, "Alan Watts", "-"), ("2.wav", 0, "Ada", "-")]},
        "3.wav,Ada",
        "2 columns; the header has 3",
    ),
    "mlaad": Example(
        {"bona_fide": "M-AILABS"},
        {
            "fake/de/vits/meta.csv": f"{TITLES}\n./fake/de/vits/a.wav|x/1.wav|de|True|3.2|thorsten|vits|VITS|Er sagt\n",
            "fake/en/bark/meta.csv": f'{TITLES}\nb.wav|x/2.wav|en|False|2|-|suno/bark|Bark|"Oh, no\n',
        },
        "fake/de/vits/a.wav fake/en/bark/b.wav M-AILABS/de/by_book/r.wav",
        {
            "eval": [
                ("bona_fide/de/by_book/r.wav", 1, "-", "-"),
                ("fake/de/vits/a.wav", 0, "-", "vits"),
                ("fake/en/bark/b.wav", 0, "-", "suno/bark"),
            ]
        },
        "c.wav|x/3.wav|de",
        "3 columns; the header has 9",
    ),
    "fakeavceleb": Example(
        {},
        {
            "FakeAVCeleb-audio/meta_data.csv": f"{AV}\n"
            "id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,FakeAVCeleb/RealVideo-RealAudio/id00076\n"
            "id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,00109_f.mp4,FakeAVCeleb/RealVideo-FakeAudio/id00076\n"
            "id00076,-,-,fsgan,C,FakeVideo-RealAudio,African,men,00109_g.mp4,FakeAVCeleb/FakeVideo-RealAudio/id00076\n"
        },
        "FakeAVCeleb-audio/RealVideo-RealAudio/id00076/00109.flac "
        "FakeAVCeleb-audio/RealVideo-FakeAudio/id00076/00109_f.wav",
        {
            "eval": [
                ("RealVideo-RealAudio/id00076/00109", 1, "id00076", "-"),
                ("RealVideo-FakeAudio/id00076/00109_f", 0, "id00076", "rtvc"),
            ]
        },
        "id1,-,-,rtvc,B,NoVideo-FakeAudio,African,men,1.mp4,FakeAVCeleb/x",
        "type 'NoVideo-FakeAudio'; it is one of RealVideo-RealAudio, RealVideo-FakeAudio, FakeVideo-FakeAudio, "
        "FakeVideo-RealAudio",
    ),
    "codecfake": Example(
        {"test": "C2"},
        {
            "label/train.txt": "SSB0001.wav real 0\nF01_SSB0001.wav fake 1\n",
            "label/dev.txt": "SSB0002.wav real 0\nF02_SSB0002.wav fake 2\n",
            "label/C2.txt": "F02_SSB0003.wav fake 2\n",
        },
        "train/SSB0001.wav train/F01_SSB0001.wav dev/SSB0002.wav dev/F02_SSB0002.wav C2/F02_SSB0003.wav",
        {
            "train": [("SSB0001.wav", 1, "-", "-"), ("F01_SSB0001.wav", 0, "-", "1")],
            "dev": [("SSB0002.wav", 1, "-", "-"), ("F02_SSB0002.wav", 0, "-", "2")],
            "eval": [("F02_SSB0003.wav", 0, "-", "2")],
        },
        "F03_SSB0001.wav spoof 3",
        "key 'spoof'; it is real or fake",
    ),
    "add2022": Example(
        {},
        {
            "ADD_train_dev/label/train_label.txt": "ADD_T_1.wav genuine\nADD_T_2.wav fake\n",
            "ADD_train_dev/label/dev_label.txt": "ADD_D_1.wav genuine\nADD_D_2.wav fake\n",
            "track1adp_out/label.txt": "ADD_A_1.wav fake\n",
        },
        "ADD_train_dev/train/ADD_T_1.wav ADD_train_dev/train/ADD_T_2.wav ADD_train_dev/dev/ADD_D_1.wav "
        "ADD_train_dev/dev/ADD_D_2.wav track1adp_out/ADD_A_1.wav",
        {
            "train": [("ADD_T_1.wav", 1, "-", "-"), ("ADD_T_2.wav", 0, "-", "-")],
            "dev": [("ADD_D_1.wav", 1, "-", "-"), ("ADD_D_2.wav", 0, "-", "-")],
            "eval": [("ADD_A_1.wav", 0, "-", "-")],
        },
        "ADD_T_3.wav",
        "1 columns; there are 2: file key",
    ),
    "partialspoof": Example(
        {},
        {
            f"protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.{partition}.trl.txt": (
                f"LA_0079 LA_{letter}_1 - - bonafide\nLA_0079 CON_{letter}_1 - CON spoof\n"
            )
            for partition, letter in (("train", "T"), ("dev", "D"))
        },
        "train/con_wav/LA_T_1.wav train/con_wav/CON_T_1.wav dev/con_wav/LA_D_1.wav dev/con_wav/CON_D_1.wav",
        {
            "train": [("LA_T_1", 1, "LA_0079", "-"), ("CON_T_1", 0, "LA_0079", "CON")],
            "dev": [("LA_D_1", 1, "LA_0079", "-"), ("CON_D_1", 0, "LA_0079", "CON")],
        },
        "LA_0079 CON_T_2 - CON partly",
        "key 'partly'; it is bonafide or spoof",
    ),
    "protocols": Example(
        {"protocol": "en_{partition}.txt", "recordings": "en_{partition}"},
        {
            "en_train.txt": "p1 a - - bonafide\np1 b - vits spoof\n",
            "en_eval.txt": "p2 c - - bonafide\np2 d - nvcnet spoof\np2 e - baidu spoof\n",
        },
        "en_train/a.wav en_train/b.wav en_eval/c.wav en_eval/d.wav en_eval/e.wav",
        {
            "train": [("a", 1, "p1", "-"), ("b", 0, "p1", "vits")],
            "eval": [("c", 1, "p2", "-"), ("d", 0, "p2", "nvcnet"), ("e", 0, "p2", "baidu")],
        },
        "p1 x - vits",
        "4 columns; there are 5: speaker utterance - attack key",
    ),
    "label_lists": Example(
        {"columns": 3},
        {
            "label/train.txt": "a.wav real -\nb.wav fake hifigan\n",
            "label/dev.txt": "c.wav genuine -\nd.wav spoof vits\n",
            "label/eval.txt": "e.wav human -\n",
        },
        "train/a.wav train/b.wav dev/c.wav dev/d.wav eval/e.wav",
        {
            "train": [("a.wav", 1, "-", "-"), ("b.wav", 0, "-", "hifigan")],
            "dev": [("c.wav", 1, "-", "-"), ("d.wav", 0, "-", "vits")],
            "eval": [("e.wav", 1, "-", "-")],
        },
        "x.wav true -",
        "key 'true'; it is bonafide or bona-fide or bona_fide or genuine or human or real or spoof or fake",
    ),
    "folders": Example(
        {"bona_fide": ["LJSpeech-1.1/wavs"]},
        {},
        "LJSpeech-1.1/wavs/LJ001.wav LJSpeech-1.1/wavs/LJ002.wav ljspeech_melgan/LJ001_gen.wav "
        "ljspeech_hifiGAN/a/LJ001_gen.wav ljspeech_hifiGAN/notes.txt",
        {
            "eval": [
                ("LJSpeech-1.1/wavs/LJ001.wav", 1, "-", "-"),
                ("LJSpeech-1.1/wavs/LJ002.wav", 1, "-", "-"),
                ("ljspeech_hifiGAN/a/LJ001_gen.wav", 0, "-", "ljspeech_hifiGAN"),
                ("ljspeech_melgan/LJ001_gen.wav", 0, "-", "ljspeech_melgan"),
            ]
        },
        "",
        "",
    ),
    "joined": Example(
        {
            "corpora": [
                {"name": "first", "layout": "label_lists", "path": "a"},
                {"name": "second", "layout": "in_the_wild", "path": "b", "partition": "train"},
            ]
        },
        {
            "a/label/train.txt": "u.wav real\n",
            "a/label/eval.txt": "v.wav fake\n",
            "b/meta.csv": "file,speaker,label\nu.wav,Ada,spoof\n",
        },
        "a/train/u.wav a/eval/v.wav b/u.wav",
        {
            "train": [("first/u.wav", 1, "-", "-"), ("second/u.wav", 0, "second/Ada", "-")],
            "eval": [("first/v.wav", 0, "-", "-")],
        },
        "w.wav",
        "1 columns; there are 2: file key",
    ),
}
"""Layout -> its example; the layout `csv` has tests of its own."""
