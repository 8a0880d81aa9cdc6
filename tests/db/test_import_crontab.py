"""A real crontab becomes agents and schedules, and each line is accounted for."""

from __future__ import annotations

import os
import pwd
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from agents import agent_registry
from agents.models import Agent, AgentVersion
from scheduling.crontab import Line, parse, split_at_percent, stdin_of
from scheduling.crontab_import import IN_HOME, IN_HOME_WITH_INPUT, program_of
from scheduling.models import Schedule

ME = pwd.getpwuid(os.geteuid()).pw_name
USERS = ["root", "www-data", ME]

SYSTEM = f"""\
# /etc/cron.d/stat: a look-alike of what Debian's packages ship
SHELL=/bin/bash
PATH=/usr/lib/stat:/usr/sbin:/usr/bin:/sbin:/bin
MAILTO=root

# every ten minutes
5-55/10 * * * * {ME} command -v stat-sa1 > /dev/null && stat-sa1 1 1
59 23 * * * {ME} command -v stat-sa1 > /dev/null && stat-sa1 60 2
57 0 * * 0\t{ME}\tif [ -x /usr/share/md/check ] && [ $(date +\\%d) -le 7 ]; then /usr/share/md/check --all; fi
@reboot {ME} /usr/sbin/stat-clean
@daily nobody-here /usr/bin/orphan
61 * * * * {ME} /bin/never
* * * * {ME} /bin/short
LD_PRELOAD=/tmp/x.so
"""  # noqa: E501 - as long as the real ones

OWN = """\
# a person's own
GREETING = "hello  there"
CRON_TZ=Europe/Berlin
0 9 * * mon-fri ./report.sh --day today
*/15 * * * * cat > note%Dear all,%%100\\% done%
@hourly tidy
"""


def lines_of(text: str, **how: Any) -> list[Line]:
    return parse(text, users=USERS, **how)


@pytest.fixture
def imported(db: None, tmp_path: Path) -> Any:
    """Import the text under a file name; what was printed comes back."""

    def run(text: str, *options: str, name: str = "tab") -> str:
        path, out = tmp_path / name, StringIO()
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        call_command("import_crontab", str(path), *options, stdout=out)
        return out.getvalue()

    return run


# --- reading ----------------------------------------------------------------------


def test_every_line_is_taken_set_ignored_or_refused() -> None:
    outcomes = [line.outcome for line in lines_of(SYSTEM)]
    assert outcomes == [
        *("ignored", "setting", "setting", "ignored", "ignored", "ignored"),
        *("taken", "taken", "taken", "taken", "taken", "refused", "refused", "setting"),
    ]
    assert [line.number for line in lines_of(SYSTEM)] == list(range(1, 15))


def test_the_user_column_is_found_out_or_told() -> None:
    assert {line.job.user for line in lines_of(SYSTEM) if line.job} >= {ME}
    own = [line.job for line in lines_of(OWN) if line.job]
    assert [job.user for job in own] == [None] * 3
    assert own[0].command == "./report.sh --day today"
    assert not lines_of("0 3 * * * www-data --all")[0].job.user
    forced = lines_of("* * * * * make all", system=True)[0].job
    assert (forced.user, forced.command) == ("make", "all")


def test_settings_reach_the_lines_below_them_and_quotes_keep_spaces() -> None:
    before, after = [
        line.job
        for line in lines_of("* * * * * a\nX = ' v '\n\"Y\"=2\n* * * * * b\n")
        if line.job
    ]
    assert (before.settings, after.settings) == ({}, {"X": " v ", "Y": "2"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * * *", "has no command"),
        ("hello", "neither five time fields"),
        ("@fortnightly x", "fortnightly"),
        ("99 * * * * x", "minute"),
        ("0 0 30 2 * x", "day of month"),
        ("* * * * * x\r", "carriage return"),
        ("* * * * * \udcff", "not UTF-8"),
        ("* * * * * %x", "no command before the %"),
        ("* * * * * " + "x" * 2000, "longer than 998"),
    ],
)
def test_a_line_that_cannot_be_taken_says_why(text: str, said: str) -> None:
    (line,) = lines_of(text)
    assert (line.outcome, line.job) == ("refused", None)
    assert said in line.said


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("cat", "cat", None),
        ("cat%", "cat", None),
        ("cat%a", "cat", "a\n"),
        ("cat%a%b%", "cat", "a\nb\n"),
        ("date +\\%d", "date +%d", None),
        ("a\\\\%b", "a\\\\", "b\n"),
        ("cat%100\\%", "cat", "100%\n"),
        ("cat%a\\b", "cat", "a\\b\n"),
    ],
)
def test_percent_ends_the_command_unless_escaped(text, command, stdin) -> None:
    job = lines_of(f"* * * * * {text}")[0].job
    assert (job.command, job.stdin) == (command, stdin)


def as_cron_splits(text: str) -> tuple[str, str]:
    """The rule once more, from its words: scan for the first % no backslash covers."""
    place = 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
        elif text[place] == "%":
            break
        else:
            place += 1
    head, rest = text[:place], text[place + 1 :]
    pieces = head.replace("\\\\", "\0").replace("\\%", "%").replace("\0", "\\\\")
    return pieces, rest


@given(st.text(alphabet="ab%\\ ", max_size=30))
def test_splitting_agrees_with_the_rule_said_another_way(text: str) -> None:
    assert split_at_percent(text) == as_cron_splits(text)


@given(st.text(alphabet="ab%\\ \n", min_size=1, max_size=30))
def test_input_always_ends_with_a_new_line_and_has_no_bare_percent_left(text) -> None:
    written = stdin_of(text)
    assert written.endswith("\n")
    assert written.count("%") == text.count("\\%")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/sbin/logrotate /etc/logrotate.conf", "logrotate"),
        ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", "debian-sa1"),
        ("[ -x /usr/lib/x ] && /usr/lib/x/clean", "clean"),
        ("test -e /run/systemd/system || MODE=1 /sbin/scrub -A", "scrub"),
        ("perl -e 'sleep int(rand(9))' && certbot -q renew", "certbot"),
        ("cd / && run-parts --report /etc/cron.hourly", "run-parts"),
    ],
)
def test_an_agent_is_called_after_the_program_people_know(command, name) -> None:
    assert program_of(command) == name


# --- running as cron does ---------------------------------------------------------

tricky = st.text(
    st.characters(min_codepoint=1, max_codepoint=0x2FF, blacklist_characters="\r"),
    max_size=200,
)


def run(args: list[str], home: Path) -> bytes:
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", *args], env=env, capture_output=True, check=True, timeout=10
    ).stdout


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@given(text=tricky)
def test_the_input_of_a_command_arrives_byte_for_byte(shell, text) -> None:
    args = ["-c", IN_HOME_WITH_INPUT, shell, "cat", text]
    assert run(args, Path("/")) == text.encode() + b"\n"


def test_a_large_input_arrives_whole() -> None:
    text = "EOF\n$HOME `id` $(id) \\ % \n" * 4000
    args = ["-c", IN_HOME_WITH_INPUT, "/bin/sh", "cat", text.removesuffix("\n")]
    assert run(args, Path("/")) == text.encode()


def test_a_command_runs_in_the_home_of_its_user_with_nothing_expanded(tmp_path) -> None:
    command = "pwd; echo '$0' \"it's\" a;b() { echo in b; }; b # comment"
    out = run(["-c", IN_HOME, "/bin/sh", command], tmp_path)
    assert out.decode().splitlines()[:2] == [str(tmp_path), "$0 it's a"]


def test_the_exit_of_the_command_is_the_exit_of_the_run(tmp_path) -> None:
    for template in (IN_HOME, IN_HOME_WITH_INPUT):
        args = ["/bin/sh", "-c", template, "/bin/sh", "kill -9 $$", "x"]
        done = subprocess.run(args, env={"HOME": str(tmp_path)}, check=False)
        assert done.returncode == -9


# --- importing --------------------------------------------------------------------


def test_a_system_crontab_becomes_agents_and_schedules(imported) -> None:
    said = imported(SYSTEM)
    assert said.splitlines()[-1].startswith("done: 14 lines: 4 taken, 2 setting, 4 ign")
    assert Agent.objects.count() == 4
    rules = set(Schedule.objects.values_list("rule", "overlap", "missed"))
    assert ("5-55/10 * * * *", "allow_all", "skip") in rules
    assert len(rules) == 3


def test_the_lines_it_could_not_take_are_named_with_their_number(imported) -> None:
    said = imported(SYSTEM)
    assert "  11 refused  there is no user nobody-here on this machine" in said
    assert "  12 refused" in said
    assert "  14 refused  LD_PRELOAD may not be set" in said


def test_a_command_is_run_by_the_shell_with_crons_variables(imported) -> None:
    imported(SYSTEM)
    agent = Agent.objects.get(agent_id__startswith="tab-check-")
    spec = agent.spec
    assert (spec["entry_point"], spec["args"][2]) == ("/bin/sh", "/bin/bash")
    assert "$(date +%d)" in spec["args"][3]
    home = pwd.getpwnam(ME).pw_dir
    assert spec["env"] == {
        "HOME": home,
        "LOGNAME": ME,
        "SHELL": "/bin/bash",
        "PATH": "/usr/lib/stat:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    assert spec["run_as"] == (ME if os.geteuid() == 0 else None)


def test_at_reboot_is_an_agent_that_starts_with_its_node(imported) -> None:
    imported(SYSTEM)
    agent = Agent.objects.get(agent_id__startswith="tab-stat-clean-")
    assert agent.spec["start_at_boot"]
    assert not agent.schedules.exists()


def test_a_crontab_of_ones_own_has_its_zone_its_variables_and_its_input(
    imported,
) -> None:
    imported(OWN)
    report = Agent.objects.get(agent_id__startswith="tab-report-sh-")
    assert report.spec["env"]["GREETING"] == "hello  there"
    assert report.spec["run_as"] is None
    assert report.schedules.get().timezone == "Europe/Berlin"
    note = Agent.objects.get(agent_id__startswith="tab-cat-")
    assert note.spec["args"][4] == "Dear all,\n\n100% done"


def test_a_second_import_finds_nothing_to_do(imported) -> None:
    imported(SYSTEM)
    said = imported(SYSTEM)
    assert said.count("(unchanged)") == 4
    assert AgentVersion.objects.count() == Agent.objects.count() == 4
    assert Schedule.objects.count() == 3


def test_another_time_for_a_command_replaces_the_earlier_one(imported) -> None:
    imported("0 9 * * * work\n")
    imported("30 9 * * * work\n")
    assert Agent.objects.count() == 1
    live = Schedule.objects.filter(ended_at=None)
    assert [row.rule for row in live] == ["30 9 * * *"]


def test_one_command_at_two_times_is_one_agent_with_two_schedules(imported) -> None:
    imported("0 9 * * * work\n0 18 * * * work\n")
    assert Agent.objects.count() == 1
    assert Schedule.objects.count() == 2


def test_the_same_command_under_other_settings_is_another_agent(imported) -> None:
    imported("0 9 * * * work\nMODE=night\n0 18 * * * work\n")
    assert Agent.objects.count() == 2


def test_a_line_that_is_gone_is_told_and_pruned_when_asked(imported) -> None:
    imported("0 9 * * * work\n0 9 * * * play\n")
    said = imported("0 9 * * * work\n")
    assert "is no longer in this crontab; --prune retires it" in said
    assert agent_registry.find().count() == 2
    imported("0 9 * * * work\n", "--prune")
    assert [a.agent_id.split("-")[1] for a in agent_registry.find()] == ["work"]


def test_a_dry_run_tells_the_same_and_makes_nothing(imported) -> None:
    said = imported(SYSTEM, "--dry-run")
    assert "would be: 14 lines: 4 taken" in said
    assert not Agent.objects.exists()


def test_a_user_who_is_not_on_the_list_is_refused_with_the_key(imported) -> None:
    said = imported("* * * * * www-data /bin/true\n", "--system")
    assert "not as www-data (security.run_as_users)" in said
    assert not Agent.objects.exists()


def test_a_job_whose_time_is_refused_leaves_no_agent_behind(imported) -> None:
    said = imported("RANDOM_DELAY=30\n* * * * * work\n")
    assert "2 refused  jitter" in said
    assert not Agent.objects.exists()


def test_what_is_not_utf8_is_refused_and_the_rest_is_taken(imported) -> None:
    said = imported("0 9 * * * caf\udce9\n0 9 * * * work\n")
    assert "1 refused  is not UTF-8 text" in said
    assert Agent.objects.count() == 1


def test_a_file_that_cannot_be_read_is_told(db) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_crontab", "/no/such/crontab")
