"""How the bridge reaches its peers: through a balancer, a redirect, a path with a password, IPv6, a name."""

import os
import socket

import pytest
from cluster import Cluster
from process import free_port
from web_clients import basic, hashed

pytestmark = pytest.mark.real


@pytest.mark.parametrize("is_joined", [True, False], ids=["a cluster", "two strangers"])
async def test_behind_a_load_balancer_nothing_is_cleared_by_absence_and_reports_go_on(held, is_joined):
    """Its two peers answer in turn, so no list says what the other one holds."""
    held.cluster = cluster = Cluster(held.folder, is_joined=is_joined)
    balancer = await held.front_of(*cluster.peers)
    await held.serve(urls=[balancer.url])
    await cluster.start()
    await cluster.fire("Silenced")
    await held.is_active("Silenced")
    await cluster.vanish("Silenced")
    cluster.reach = cluster.peers[1:]
    await cluster.fire("One")
    await held.shows("One", "Silenced")
    await held.stays_active("One", "Silenced", seconds=5)
    assert await held.count("vanished") == 0
    assert held.bridge.output.count("several Alertmanagers answer at this address in turn") == 1


async def test_a_peer_that_sends_the_bridge_elsewhere_does_not_count(held):
    """The bridge does not follow it, for who answers there may be another one."""
    first, second = held.cluster.peers
    front = await held.front_of(second, redirects=[302, 307])
    await held.serve(urls=[first.url, front.url])
    await held.cluster.start()
    await held.cluster.fire("Silenced")
    await held.shows("Silenced")
    await held.cluster.vanish("Silenced")
    await held.cluster.fire("New")
    await held.shows("New", "Silenced")
    await held.stays_active("New", "Silenced", seconds=5)
    assert "it sends the bridge elsewhere (30" in held.bridge.output


async def test_peers_below_a_path_and_behind_a_password_are_asked(held):
    """`--web.route-prefix`, and a user of `--web.config.file`."""
    web = held.folder / "web.yml"
    web.write_text(f"basic_auth_users: {{bridge: '{hashed('secret')}'}}\n")
    arguments = [f"--web.config.file={web}"]
    held.cluster = Cluster(held.folder, path="/am", headers=basic("bridge", "secret"), arguments=arguments)
    await held.serve(more=", basic_auth: {username: bridge, password: secret}")
    await held.cluster.start()
    await vanishes(held)


async def test_peers_on_ipv6_are_asked(held):
    """By their addresses in brackets."""
    need_ipv6()
    held.cluster = Cluster(held.folder, hosts=("::1", "::1"))
    await held.serve()
    await held.cluster.start()
    await vanishes(held)


async def test_every_address_of_a_name_is_asked(held):
    """Each is a peer of its own."""
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    hosts = sorted({each[4][0] for each in found})
    port = free_port()
    held.cluster = Cluster(held.folder, hosts, port=port)
    await held.serve(more=f", dns: 'localhost:{port}'", urls=[])
    await held.cluster.start()
    await vanishes(held)


async def vanishes(held):
    """An alert that resolves under a silence is cleared, and the other one stays."""
    await held.cluster.fire("Silenced")
    await held.cluster.fire("Stays")
    await held.shows("Silenced", "Stays")
    await held.cluster.vanish("Silenced")
    await held.shows("Stays")
    assert await held.count("vanished") == 1


def need_ipv6():
    """Skip the test on a machine without IPv6, but never in CI."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        if os.environ.get("CI"):
            pytest.fail("::1 cannot be used here")
        pytest.skip("::1 cannot be used here")  # some machines have no IPv6; CI fails instead, above
