"""URLs: libpq's grammar, and the exact offset of what is wrong."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.address import BadValue, ListenAddress, ServerAddress, parse_url, read_listen_address, read_port


def test_a_full_url_is_taken_apart() -> None:
    url = parse_url("postgresql://bob:hush@db.example:6000/app?sslmode=require&pool_size=5")
    assert (url.user, url.password, url.dbname) == ("bob", "hush", "app")
    assert (url.hosts, url.ports) == (("db.example",), (6000,))
    assert [(p.name, p.value) for p in url.parameters] == [("sslmode", "require"), ("pool_size", "5")]


def test_what_is_left_out_is_none_and_the_port_is_5432() -> None:
    url = parse_url("postgres://h")
    assert (url.user, url.password, url.dbname, url.ports) == (None, None, None, (5432,))


def test_nothing_at_all_may_be_left_out() -> None:
    assert parse_url("postgres://").hosts == ()
    assert parse_url("postgres:///app").dbname == "app"


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgres://h1:1,h2:2/a", ("h1", "h2"), (1, 2)),
        ("postgres://h1,h2:2", ("h1", "h2"), (5432, 2)),
        ("postgres://[::1]:6000/a", ("::1",), (6000,)),
        ("postgres://u@[fe80::1],h/a", ("fe80::1", "h"), (5432, 5432)),
        ("postgres://%2Fvar%2Frun/a", ("/var/run",), (5432,)),
        ("postgres:///a?host=/tmp", ("/tmp",), (5432,)),
        ("postgres:///a?host=/tmp&port=6000", ("/tmp",), (6000,)),
        ("postgres://h:1/a?host=x", ("x",), (1,)),
        ("postgres:///a?host=x,y&port=1,2", ("x", "y"), (1, 2)),
        ("postgres:///a?host=x,y&port=3", ("x", "y"), (3, 3)),
        ("postgres:///a?port=3", ("localhost",), (3,)),
        ("postgres://h:/a", ("h",), (5432,)),
    ],
)
def test_hosts_and_ports(url: str, hosts: tuple[str, ...], ports: tuple[int, ...]) -> None:
    parsed = parse_url(url)
    assert (parsed.hosts, parsed.ports) == (hosts, ports)


def test_the_query_may_name_user_password_and_database() -> None:
    url = parse_url("postgres://h?user=bob&password=a%26b&dbname=app")
    assert (url.user, url.password, url.dbname, url.parameters) == ("bob", "a&b", "app", ())


def test_a_password_may_hold_an_at_sign_as_people_write_it() -> None:
    assert parse_url("postgres://bob:p@ss@h/a").password == "p@ss"


@pytest.mark.parametrize(
    ("url", "at", "says"),
    [
        ("http://h/a", "http", "not a PostgreSQL URL"),
        ("postgres://h:x/a", "x/a", "the port is not a number"),
        ("postgres://h:0/a", "0/a", "the port is not a number"),
        ("postgres://h:65536/a", "65536", "the port is not a number"),
        ("postgres://h:١/a", "١", "the port is not a number"),
        ("postgres://bob:pa%zz@h/a", "%zz", "two hexadecimal digits"),
        ("postgres://bob:%ff@h/a", "%ff", "not UTF-8"),
        ("postgres://h/a%00b", "%00", "%00"),
        ("postgres://h/a#b", "#", "must not stand"),
        ("postgres://h/a b", " ", "must not stand"),
        ("postgres://h,,i/a", ",i", "empty host"),
        ("postgres://::1/a", "::1", "not a host"),
        ("postgres://h/a?sslmode", "sslmode", "name=value"),
        ("postgres://h/a?=x", "=x", "name=value"),
        ("postgres://h/a?x=1&x=2", "x=2", "given twice"),
        ("postgres://h/a?host=", "", "empty host"),
        ("postgres://h,i/a?port=1,2,3", "1,2,3", "as many ports as hosts"),
    ],
)
def test_a_bad_url_says_where(url: str, at: str, says: str) -> None:
    with pytest.raises(BadValue, match=says) as error:
        parse_url(url)
    assert url[error.value.offset :].startswith(at)


def test_repr_hides_the_password_and_parameters() -> None:
    url = parse_url("postgres://bob:hush@h/a?connect_query=hush")
    assert "hush" not in repr(url)
    assert "hush" not in repr(url.addresses())


def test_str_of_an_address_brackets_ipv6() -> None:
    assert str(ServerAddress("::1", 1)) == "[::1]:1"
    assert str(ServerAddress("h")) == "h:5432"


def test_a_socket_directory_is_known_as_one() -> None:
    assert ServerAddress("/tmp").is_unix
    assert ServerAddress("@abstract").is_unix
    assert not ServerAddress("tmp").is_unix


def test_read_port_takes_the_bounds() -> None:
    assert (read_port("1"), read_port("65535")) == (1, 65535)


@given(st.text())
def test_any_text_is_a_url_or_refused_inside_the_text(text: str) -> None:
    for url in (text, f"postgres://{text}"):
        try:
            parse_url(url)
        except BadValue as error:
            assert 0 <= error.offset <= len(url)


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


@given(NAMES, NAMES, NAMES)
def test_whatever_is_percent_encoded_comes_back(user: str, password: str, dbname: str) -> None:
    parts = [quote(part, safe="") for part in (user, password, dbname)]
    url = parse_url("postgres://{}:{}@h/{}".format(*parts))
    assert (url.user, url.password, url.dbname) == (user, password, dbname)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9127", "127.0.0.1", 9127),
        ("[::1]:65535", "::1", 65535),
        ("*:1", "*", 1),
        ("localhost:0", "localhost", 0),
    ],
)
def test_an_address_to_listen_on_is_read_and_shown_as_it_was_written(text: str, host: str, port: int) -> None:
    address = read_listen_address(text)
    assert address == ListenAddress(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["9127", ":9127", "localhost", "h:", "h:65536", "h:-1", "::1:9127", "[]:1", "a b:1", "h:1\n"]
)
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="must be an address and a port"):
        read_listen_address(text)
