"""Passwords judged by PAM, in a thread: its modules may wait for the network.

libpam is called through ctypes, so that nothing has to be installed for it. One thread, as not every module is made for
several.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any

from trunkline.errors import AuthUnavailable
from trunkline.net.offload import Offload

log = logging.getLogger("trunkline.client")

SERVICE = "pgbouncer"  # the name of the file in /etc/pam.d

_SUCCESS, _CONV_ERR, _RHOST, _PROMPTS = 0, 19, 4, (1, 2)


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Talk = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("talk", _Talk), ("data", ctypes.c_void_p))


class Pam:
    """`confdir` is where services are described, if that is not /etc/pam.d."""

    def __init__(self, confdir: str = "") -> None:
        self._confdir = confdir
        self._thread = Offload("pam")

    async def accepts(self, user: bytes, password: bytes, host: bytes, service: str) -> bool:
        """Whether the password is the user's, and he may log in now."""
        return await self._thread.run(self._ask, user, password, host, service)

    def close(self) -> None:
        self._thread.close()

    def _ask(self, user: bytes, password: bytes, host: bytes, service: str) -> bool:
        try:
            libpam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
        except OSError as error:
            log.error("PAM cannot be used: %s", error)
            raise AuthUnavailable("bouncer config error") from None
        talk = _answering(libc, password)
        conversation = _Conversation(talk, None)
        handle = ctypes.c_void_p()
        begun = self._start(libpam, service.encode(), user, conversation, handle)
        if begun != _SUCCESS:
            log.error("PAM service %s cannot be begun: error %d", service, begun)
            raise AuthUnavailable("bouncer config error")
        outcome = _SUCCESS
        try:
            libpam.pam_set_item(handle, _RHOST, host)
            for step in (libpam.pam_authenticate, libpam.pam_acct_mgmt):
                outcome = outcome or step(handle, 0)
        finally:
            libpam.pam_end(handle, outcome)
        return bool(outcome == _SUCCESS)

    def _start(
        self, libpam: Any, service: bytes, user: bytes, conversation: _Conversation, handle: ctypes.c_void_p
    ) -> int:
        if not self._confdir:
            return int(libpam.pam_start(service, user, ctypes.byref(conversation), ctypes.byref(handle)))
        where = self._confdir.encode()
        return int(libpam.pam_start_confdir(service, user, ctypes.byref(conversation), where, ctypes.byref(handle)))


def _answering(libc: Any, password: bytes) -> Any:
    """A conversation that answers each prompt with the password; libpam frees what it is given."""
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)

    def talk(count: int, messages: Any, responses: Any, _data: Any) -> int:
        memory = libc.calloc(count, ctypes.sizeof(_Response))
        if not memory:
            return _CONV_ERR
        answers = ctypes.cast(memory, ctypes.POINTER(_Response))
        for at in range(count):
            if messages[at].contents.style in _PROMPTS:
                answers[at].text = libc.strdup(password)
        responses[0] = memory
        return _SUCCESS

    return _Talk(talk)
