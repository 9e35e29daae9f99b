"""The race of placing an order of three lines in a process."""

from collections.abc import Mapping
from contextlib import ExitStack

from tests.benchmarks.measuring import Contestant, Rounds, race
from tests.benchmarks.our_site import OurDatabases
from tests.benchmarks.peer import PeerSite
from tests.benchmarks.processes import ProcessContestant
from tests.benchmarks.races import OURS, Setting


def run_place(setting: Setting) -> Rounds:
    """Place orders in a process."""
    with ExitStack() as stack:
        site = OurDatabases("write", "read", like=setting.like)
        stack.callback(site.drop)
        ours = _process(stack, OURS, "place_ours", site.environ(), site.urls[0])
        contestants: list[Contestant] = [ours]
        write, read = setting.like
        recorded = OurDatabases("write", "read", "copy", like=[write, read, write])
        stack.callback(recorded.drop)
        copy = recorded.urls[2]
        contestants.append(
            _process(stack, "raw", "place_raw", recorded.environ(COPY_URL=copy), copy)
        )
        if setting.sizes.against:
            peer = stack.enter_context(PeerSite())
            for name, module, url in (
                ("orm", "place_orm", peer.url),
                ("eventsourcing", "place_events", peer.events_url),
            ):
                contestant = peer.contestant(name, module, url=url)
                stack.callback(contestant.close)
                contestants.append(contestant)
        return race(contestants, setting.sizes.number, setting.sizes.rounds)


def _process(
    stack: ExitStack, name: str, module: str, environ: Mapping[str, str], url: str
) -> ProcessContestant:
    contestant = ProcessContestant(name, f"tests.benchmarks.{module}", environ, url)
    stack.callback(contestant.close)
    return contestant
