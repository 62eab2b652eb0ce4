import itertools
import lzma

import pytest

from models import corpus
from tests.data import data_path
from volition.core import LoadError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packed texts of every source, each line of them unlike all others."""
    folder = tmp_path_factory.mktemp("text")
    for source in corpus.SOURCES:
        lines = []
        for n in range(600):
            word = source.name.split("_")[-1]
            lines.append(f"It's {word}, number {n}!" if source.language == "en" else f"Это, однако, номер {n} {word}.")
            if source.blocks and n % 7 == 6:
                lines.append("")
        with lzma.open(folder / f"{source.name}.txt.xz", "wt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    (folder / "phrases").mkdir()
    (folder / "phrases" / "set_lower.txt").write_text("it is tatoeba number 5\nэто однако номер 7 koziev\n", "utf-8")
    return folder


def sample(folder, n, **settings):
    return list(itertools.islice(corpus.documents(folder, **settings), n))


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("Hello, World!", "hello world"),
        ("  Don't -- just DON'T...  ", "don't just don't"),
        ("the twenty-first 'quoted' o’clock", "the twenty-first quoted o'clock"),
        ("Room 12b at 10:30 (a_b)", "room 12b at 10 30 a b"),
        ("Ёлка, по-моему, зелёная?", "ёлка по-моему зелёная"),
        ("--- !!! ...", ""),
    ],
)
def test_plain(line, plain):
    assert corpus.plain(line) == plain
    assert corpus.plain(plain) == plain


def test_soft_keeps_inner_commas():
    assert corpus.soft("Ну, здравствуй, друг мой!") == "ну, здравствуй, друг мой"
    assert corpus.soft(", , нет,") == "нет"


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("i'm sure you're right", "i am sure you are right"),
        ("i can't and won't", "i cannot and will not"),
        ("don't they've we'll", "do not they have we will"),
        ("it's mine", "it is mine"),
        ("it's been long and he's got it", "it has been long and he has got it"),
        ("what's up let's go", "what is up let us go"),
        ("tom's car and the dog's bed", "tom's car and the dog's bed"),
        ("i'd like it but i'd better not", "i would like it but i'd better not"),
        ("i'm gonna wait", "i am going to wait"),
        ("o'clock banner", "o'clock banner"),
    ],
)
def test_contractions_are_written_out_where_that_is_clear(short, long):
    assert corpus.written_out(short) == long
    assert corpus.written_out(long) == long


def test_the_same_line_in_any_form_is_held_out_or_not():
    lines = [f"I don't know line {n}, said he" for n in range(20_000)]
    kept_back = [line for line in lines if corpus.held_out(line)]
    assert 0.003 * len(lines) < len(kept_back) < 0.007 * len(lines)
    for line in kept_back:
        assert corpus.held_out(line.upper() + "!")
        assert corpus.held_out(corpus.written_out(corpus.plain(line)))
    assert corpus.held_out("Ещё") == corpus.held_out("еще")


def test_same_seed_same_documents(folder):
    first = sample(folder, 300, seed=4)
    assert first == sample(folder, 300, seed=4)
    assert first != sample(folder, 300, seed=5)


def test_documents_are_a_handful_of_whole_lines(folder):
    for text in sample(folder, 500):
        assert text.endswith("\n")
        lines = text[:-1].split("\n")
        assert corpus.LINES[0] <= len(lines) < 2 * corpus.LINES[1]
        assert all(line and line == line.strip() for line in lines)


def test_no_held_out_line_and_no_phrase_in_any_form(folder):
    texts = sample(folder, 4000, seed=1)  # several times through each source
    lines = {line for text in texts for line in text.splitlines()}
    assert not any(corpus.held_out(line) for line in lines)
    banned = {"it is tatoeba number 5", "это однако номер 7 koziev"}
    assert not banned & {corpus.same(line) for line in lines}
    assert "it is tatoeba number 6" in {corpus.same(line) for line in lines}


def test_neighbouring_lines_of_a_block_stay_together(folder):
    for text in sample(folder, 2000, lower=0.0):
        if "chat, number" in text:
            numbers = [int(line.rstrip("!").split()[-1]) for line in text.splitlines()]
            for before, after in itertools.pairwise(numbers):
                assert after == before + 1 or after % 7 == 0 or corpus.held_out(f"It's chat, number {before + 1}!")
            return
    pytest.fail("no dialogue among the documents")


def test_half_is_lower_case_and_half_of_that_written_out(folder):
    texts = sample(folder, 3000, languages=("en",))
    lower = [text for text in texts if text.islower() and "!" not in text]
    assert len(lower) == pytest.approx(1500, abs=120)
    made_up = [text for text in lower if " number " in text]  # each begins with a contraction
    assert len(made_up) > 500
    assert sum("it is" in text for text in made_up) == pytest.approx(len(made_up) / 2, abs=75)
    assert all("It's" in text for text in texts if text not in lower and ", number " in text)
    assert all(text.islower() for text in sample(folder, 50, lower=1.0))
    assert not any(text.islower() for text in sample(folder, 50, lower=0.0))


def test_each_source_gives_its_share_of_the_characters(folder):
    texts = sample(folder, 6000, lower=0.0)
    total = sum(map(len, texts))
    russian = sum(len(text) for text in texts if "номер" in text)
    assert russian / total == pytest.approx(corpus.SHARES["ru"], abs=0.01)
    tatoeba = sum(len(text) for text in texts if "tatoeba" in text)
    weights = {source.name: source.weight for source in corpus.SOURCES if source.language == "en"}
    share = corpus.SHARES["en"] * weights["en_sent_tatoeba"] / sum(weights.values())
    assert tatoeba / total == pytest.approx(share, abs=0.01)
    assert not any("номер" in text for text in sample(folder, 200, languages=("en",)))


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(LoadError, match="en and ru only"):
        sample(folder, 1, languages=("de",))
    with pytest.raises(LoadError, match="no such file"):
        sample(tmp_path, 1)


def test_every_text_used_is_attributed():
    rows = corpus.attributions()
    assert [row["name"] for row in rows] == [source.name for source in corpus.SOURCES]
    assert all(row["attribution"] for row in rows if row["licence"].startswith(("CC-BY", "BSD", "CDLA")))
    assert not any("SA" in row["licence"].split("-") for row in rows)
    assert all(row["name"].startswith("ru") for row in corpus.attributions(["ru"]))


@pytest.mark.slow
def test_the_real_texts_hold_no_phrase_of_an_evaluation_set(monkeypatch):
    folder = data_path("text")
    everyday = ("en_sent_tatoeba", "en_sent_clinc150", "ru_sent_common_voice", "ru_dialog_chatterbot")
    monkeypatch.setattr(corpus, "SOURCES", [source for source in corpus.SOURCES if source.name in everyday])
    phrases = {
        corpus.same(line)
        for name in ("comm2_lower.txt", "ru_everyday_eval.txt")
        for line in (folder / "phrases" / name).read_text("utf-8").splitlines()
    }
    assert len(phrases) > 2000
    texts = sample(folder, 800, seed=1)
    lines = {corpus.same(line) for text in texts for line in text.splitlines()}
    assert len(lines) > 5_000
    assert not lines & phrases
    assert not any(corpus.held_out(line) for line in lines)


def test_the_licences_are_those_of_the_table():
    table = data_path("text/README.md").read_text("utf-8")
    rows = {row.split("`")[1]: row for row in table.splitlines() if row.startswith("| `")}
    for source in corpus.SOURCES:
        assert source.own or source.licence.split(" (")[0] in rows[f"{source.name}.txt.xz"]
