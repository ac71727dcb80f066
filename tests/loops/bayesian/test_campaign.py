"""Files of loops: what is read back goes on bit by bit; a step is in the file as a whole or not at all."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from loop_fitters import SMALL, FixedProcess

from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import BayesianLoop, Campaign
from surrogate_opt.loops.bayesian import campaign as campaign_module
from surrogate_opt.loops.bayesian.settings import LoopSettings
from surrogate_opt.loops.bayesian.storage import put_state, read_campaign

BOUNDS = np.array([[-2.0, 0.0, 1.0], [2.0, 1.0, 5.0]])


def value(x):
    return np.where(x[:, 1] > 0.9, math.nan, ((x - [0.5, 0.25, 3.0]) ** 2).sum(1))


def limit(x):
    return x[:, :1] - 1.0


def make(**options):
    settings = {
        "model": FixedProcess,
        "budget": SMALL,
        "num_initial": 4,
        "num_constraints": 1,
        "integers": [2],
        "seed": 6,
        "feature_names": ["a", "b", "c"],
    }
    return BayesianLoop(BOUNDS, **settings | options)


def answer(loop, first=0, last=None):
    x = loop.pending[first:last]
    loop.tell(x, value(x))


STAGES = [
    ("new", lambda loop: None),
    ("points of the user's own", lambda loop: loop.tell([0.1, 0.2, 3.0], math.nan)),
    ("first points pending", lambda loop: loop.ask(3)),
    ("some of them told", lambda loop: answer(loop, 1, 3)),
    ("first points told", answer),
    ("looked at", lambda loop: loop.recommend()),
    ("first proposal of a model pending", lambda loop: loop.ask()),
    ("a second one of the same fit", lambda loop: loop.ask()),
    ("one of them told", lambda loop: answer(loop, 0, 1)),
    ("more of a warm fit", lambda loop: loop.ask(2)),
    ("all told", answer),
]


def test_a_loop_that_is_read_back_at_every_stage_goes_on_as_one_that_never_stopped(tmp_path):
    whole, relayed = make(num_constraints=0), make(num_constraints=0)
    for number, (stage, step) in enumerate(STAGES):
        path = tmp_path / f"{number}.campaign"
        step(whole)
        step(relayed)
        relayed.save(path)
        relayed = BayesianLoop.load(path, model=FixedProcess)
        np.testing.assert_array_equal(relayed.pending, whole.pending, err_msg=stage)
    timings = ["seconds_fit", "seconds_acquisition"]
    expected, found = whole.history.drop(columns=timings), relayed.history.drop(columns=timings)
    assert "model" in set(found["kind"])
    for column in expected:
        np.testing.assert_array_equal(found[column], expected[column], err_msg=column)
    np.testing.assert_array_equal(relayed.ask(3), whole.ask(3))
    np.testing.assert_array_equal(relayed.recommend(), whole.recommend())


def test_a_loop_with_a_named_model_needs_nothing_but_its_file(tmp_path):
    loop = BayesianLoop(BOUNDS, model="gp", acquisition="qlog_nei", num_initial=4, budget=SMALL)
    x = loop.ask(4)
    loop.tell(x, value(x * [1, 0.5, 1]))
    x = loop.ask()
    loop.save(tmp_path / "gp.campaign")
    resumed = BayesianLoop.load(tmp_path / "gp.campaign")
    np.testing.assert_array_equal(resumed.pending, x)
    np.testing.assert_array_equal(resumed.ask(), loop.ask())
    assert resumed.best.y == loop.best.y


def test_a_campaign_proposes_what_the_loop_in_memory_would(tmp_path):
    loop = make()
    Campaign.create(tmp_path / "a.campaign", make(), model=FixedProcess)
    for q in (4, 1, 1):
        campaign = Campaign(tmp_path / "a.campaign", model=FixedProcess)
        asked = campaign.ask(q)
        np.testing.assert_array_equal(asked, loop.ask(q))
        campaign.tell(asked, value(asked), limit(asked))
        loop.tell(asked, value(asked), limit(asked))
    assert campaign.loop.history["kind"].tolist() == ["initial"] * 4 + ["model"] * 2
    assert not list(tmp_path.glob("*-wal"))


def test_asking_again_gives_the_pending_points_unless_more_are_wanted(tmp_path):
    campaign = Campaign.create(tmp_path / "a.campaign", make(), model=FixedProcess)
    first = campaign.ask(2)
    np.testing.assert_array_equal(campaign.ask(), first)
    more = campaign.ask(more=True)
    assert len(more) == 1
    np.testing.assert_array_equal(campaign.ask(7), np.concatenate([first, more]))
    np.testing.assert_array_equal(campaign.loop.pending, np.concatenate([first, more]))


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in ("loop", "evaluations", "proposals", "fitter_states")
        ]


@pytest.mark.parametrize("table", ["evaluations", "proposals", "loop"])
def test_a_step_that_fails_in_the_middle_leaves_the_file_as_it_was(tmp_path, table):
    path = tmp_path / "a.campaign"
    campaign = Campaign.create(path, make(), model=FixedProcess)
    asked = campaign.ask(3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"CREATE TRIGGER stop BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk gone'); END"
        )
    before = rows(path)
    with pytest.raises(InputError, match=r"campaign: cannot use .*: disk gone"):
        campaign.tell(asked[:2], value(asked[:2]), limit(asked[:2]))
    assert rows(path) == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER stop")
    np.testing.assert_array_equal(campaign.loop.pending, asked)
    campaign.tell(asked, value(asked), limit(asked))
    assert len(campaign.loop.history) == 3


def test_a_process_that_is_killed_while_it_tells_loses_nothing(killed, tmp_path, monkeypatch):
    path = tmp_path / "a.campaign"
    campaign = Campaign.create(path, make(), model=FixedProcess)
    asked = campaign.ask(2)
    before = rows(path)

    def write_and_die(connection, state):
        put_state(connection, state)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(campaign_module, "put_state", write_and_die)
        killed(campaign.tell, asked, value(asked), limit(asked))
    assert rows(path) == before
    campaign.tell(asked, value(asked), limit(asked))
    assert len(campaign.loop.history) == 2


def test_steps_at_the_same_time_wait_for_each_other(tmp_path):
    path = tmp_path / "a.campaign"
    Campaign.create(path, make(num_initial=20), model=FixedProcess)

    def ask():
        Campaign(path, model=FixedProcess).ask(2, more=True)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pending = Campaign(path, model=FixedProcess).loop.pending
    np.testing.assert_array_equal(pending, make(num_initial=20).ask(8))


def test_what_is_committed_in_the_middle_of_reading_is_not_mixed_in(tmp_path, monkeypatch):
    path = tmp_path / "a.campaign"
    campaign = Campaign.create(path, make(), model=FixedProcess)
    asked = campaign.ask(2)
    before = read_campaign(path)
    from_json = LoopSettings.from_json

    def meanwhile(text):
        monkeypatch.setattr(LoopSettings, "from_json", from_json)
        campaign.tell(asked[:1], value(asked[:1]), limit(asked[:1]))
        campaign.ask(more=True)
        return from_json(text)

    monkeypatch.setattr(LoopSettings, "from_json", meanwhile)  # called behind the first of four tables
    assert read_campaign(path) == before
    assert len(read_campaign(path).ledger.evaluations) == 1


def test_saving_over_a_file_whose_log_was_left_behind_does_not_bring_the_old_one_back(killed, tmp_path):
    path = tmp_path / "a.campaign"
    Campaign.create(path, make(), model=FixedProcess)

    def commit_and_die():  # commits to the write-ahead log, and dies before it is carried over
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE loop SET num_asked = 77")
        os.kill(os.getpid(), signal.SIGKILL)

    killed(commit_and_die)
    assert path.with_name("a.campaign-wal").stat().st_size > 0
    fresh = make(seed=1)
    fresh.ask()
    fresh.save(path)
    assert BayesianLoop.load(path, model=FixedProcess).state.ledger.num_asked == 1


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_the_log_of_a_deleted_file_does_not_become_that_of_a_new_one(tmp_path, suffix):
    path, log = tmp_path / "a.campaign", tmp_path / f"a.campaign{suffix}"
    log.write_bytes(b"left over")
    expected = rf"^campaign: expected no log of a file that is gone; delete .*{suffix}, or bring"
    with pytest.raises(InputError, match=expected):
        Campaign.create(path, make(), model=FixedProcess)
    with pytest.raises(InputError, match=expected):
        make().save(path)
    assert list(tmp_path.iterdir()) == [log]


def test_of_campaigns_that_begin_at_once_one_begins(tmp_path, monkeypatch):
    path = tmp_path / "a.campaign"
    save = BayesianLoop.save

    def save_late(loop, temporary):
        save(loop, temporary)
        monkeypatch.setattr(BayesianLoop, "save", save)
        Campaign.create(path, make(seed=1), model=FixedProcess)

    monkeypatch.setattr(BayesianLoop, "save", save_late)
    with pytest.raises(InputError, match=r"^campaign: expected a new file; .* is there already$"):
        Campaign.create(path, make(seed=2), model=FixedProcess)
    assert BayesianLoop.load(path, model=FixedProcess).state.settings.seed == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_step_of_several_parts_is_one_or_none(tmp_path):
    path = tmp_path / "a.campaign"
    campaign = Campaign.create(path, make(), model=FixedProcess)
    with campaign.step() as loop:
        x = loop.ask(2)
        loop.tell(x, value(x), limit(x))
    before = rows(path)
    assert len(campaign.loop.history) == 2

    def ask_and_fail():
        with campaign.step() as loop:
            loop.ask(2)
            loop.tell([9.0], 1.0)

    with pytest.raises(InputError, match="x: expected the shape"):
        ask_and_fail()
    assert rows(path) == before


@pytest.mark.parametrize(
    ("penalty", "strength", "expected"),
    [
        ("dreg", -1.0, "of at least 0 for dreg; came -1.0"),
        ("igp", math.nan, "of at least 0 for igp; came nan"),
        ("dreg+igp", math.inf, "of at least 0"),
        ("sn", 0.0, "over 0 for sn; came 0.0"),
        ("sn", -2, "over 0 for sn; came -2"),
        ("dreg", "strong", "'strong'"),
        ("dreg", True, "came True"),
    ],
)
@pytest.mark.parametrize("model", ["ensemble", "last_layer", "deep_kernel"])
def test_a_strength_that_no_network_can_be_trained_with_is_refused_at_once(
    model, penalty, strength, expected
):
    with pytest.raises(InputError, match=r"^strength: expected 'auto' or a finite number [^\n]+$") as caught:
        BayesianLoop(BOUNDS, model=model, penalty=penalty, strength=strength)
    assert expected in str(caught.value)


def test_all_units_cannot_be_left_out():
    with pytest.raises(InputError, match="dropout: expected a share in"):
        BayesianLoop(BOUNDS, penalty="dropout", strength=1.0)


def test_the_weakest_strengths_are_strengths():
    for penalty, strength in (("dreg", 0), ("none", 0.0), ("sn", 1e-3)):
        loop = BayesianLoop(BOUNDS, penalty=penalty, strength=strength)
        assert loop.state.settings.strength == strength


def text_file(path):
    path.write_text("x,y\n1,2\n")


def other_database(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cells (key TEXT)")


def truncated(path):
    make().save(path)
    os.truncate(path, 5000)


def changed(statement):
    def change(path):
        make().save(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: None,
        text_file,
        other_database,
        truncated,
        changed("UPDATE loop SET format = 'surrogate-opt-campaign/9'"),
        changed("UPDATE loop SET settings = '{'"),
        changed("UPDATE loop SET settings = json_remove(settings, '$.seed')"),
        changed("UPDATE loop SET settings = json_set(settings, '$.seed', -3)"),
        changed("UPDATE loop SET last_refit = '{\"num_evaluations\": 3}'"),
        changed("DELETE FROM loop"),
        changed("DROP TABLE proposals"),
        changed('INSERT INTO proposals VALUES (1, \'{"x": [1.0], "kind": "initial"}\')'),
        changed('INSERT INTO evaluations VALUES (1, \'{"x": [0, 0, 1], "kind": "user"}\', 1.0, \'[]\')'),
    ],
)
def test_files_that_are_missing_damaged_or_of_another_kind_are_one_line(tmp_path, damage):
    path = tmp_path / "a.campaign"
    damage(path)
    for read in (BayesianLoop.load, Campaign):
        with pytest.raises(InputError, match=r"^campaign: [^\n]+$"):
            read(path, model=FixedProcess)


def test_what_cannot_be_written_or_does_not_fit_the_file_is_refused(tmp_path):
    path = tmp_path / "a.campaign"
    make().save(path)
    with pytest.raises(InputError, match="model: expected the function"):
        BayesianLoop.load(path)
    make(model="gp").save(path)
    with pytest.raises(InputError, match="model: expected none, as the loop was made with 'gp'"):
        BayesianLoop.load(path, model=FixedProcess)
    with pytest.raises(InputError, match="campaign: expected a new file"):
        Campaign.create(path, make(), model=FixedProcess)
    with pytest.raises(InputError, match="output: cannot write"):
        make().save(tmp_path / "no" / "folder.campaign")
    campaign = Campaign(path)
    with pytest.raises(InputError, match="q: expected at least 1; came 0"):
        campaign.ask(0)
    with pytest.raises(InputError, match="constraints: expected values"):
        campaign.tell([0.0, 0.0, 1.0], 1.0)
    assert len(campaign.loop.history) == 0
