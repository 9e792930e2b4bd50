"""SHOW columns against literal lists of what PgBouncer 1.25 sends; monitoring reads some of them by position."""

from __future__ import annotations

import pytest

from trunkline.admin import columns
from trunkline.admin.columns import Columns
from trunkline.protocol.messages import BYTEA, INT4, INT8, NUMERIC, TEXT

_PGBOUNCER: list[tuple[Columns, str, str]] = [
    (
        columns.POOLS,
        "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel "
        "sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts",
        "ssiiiiiiiiiiiiiss",
    ),
    (
        columns.DATABASES,
        "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode "
        "load_balance_hosts max_connections current_connections max_client_connections current_client_connections "
        "paused disabled",
        "ssissiiiissiiiiii",
    ),
    (
        columns.SOCKETS,
        "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us "
        "close_needed ptr link remote_pid tls application_name prepared_statements id",
        "ssssssisissiiississii",
    ),
    (
        columns.USERS,
        "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
        "max_user_client_connections current_client_connections",
        "ssssiiii",
    ),
    (
        columns.STATS,
        "database total_server_assignment_count total_xact_count total_query_count total_received total_sent "
        "total_xact_time total_query_time total_wait_time total_client_parse_count total_server_parse_count "
        "total_bind_count total_client_login_count avg_server_assignment_count avg_xact_count avg_query_count avg_recv "
        "avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count "
        "avg_bind_count avg_client_login_count",
        "s" + "N" * 24,
    ),
    (
        columns.STATS_TOTALS,
        "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time "
        "wait_time client_parse_count server_parse_count bind_count client_login_count",
        "s" + "N" * 12,
    ),
    (
        columns.STATS_AVERAGES,
        "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time "
        "wait_time avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count",
        "s" + "N" * 12,
    ),
    (columns.TOTALS, "name value", "sN"),
    (
        columns.SOCKET_DETAILS,
        "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us "
        "close_needed ptr link remote_pid tls application_name prepared_statements id recv_pos pkt_pos pkt_remain "
        "send_pos send_remain pkt_avail send_avail",
        "ssssssisissiiississiiiiiiiii",
    ),
    (
        columns.FDS,
        "fd task user database addr port cancel link client_encoding std_strings datestyle timezone password "
        "scram_client_key scram_server_key",
        "issssiqisssssbb",
    ),
    (columns.MEM, "name size used free memtotal", "siiii"),
    (columns.DNS_HOSTS, "hostname ttl addrs", "sqs"),
    (columns.DNS_ZONES, "zonename serial count", "sqi"),
    (columns.PEERS, "peer_id host port pool_size", "isii"),
    (
        columns.PEER_POOLS,
        "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login",
        "iiiii",
    ),
    (columns.LISTS, "list items", "si"),
    (columns.CONFIG, "key value default changeable", "ssss"),
    (columns.STATE, "key value", "ss"),
    (columns.VERSION, "version", "s"),
]
_TYPES = {"s": TEXT, "i": INT4, "q": INT8, "N": NUMERIC, "b": BYTEA}


@pytest.mark.parametrize(("ours", "names", "types"), _PGBOUNCER)
def test_columns_are_pgbouncers_to_the_letter(ours: Columns, names: str, types: str) -> None:
    assert [name for name, _ in ours] == names.split()
    assert [oid for _, oid in ours] == [_TYPES[letter] for letter in types]
