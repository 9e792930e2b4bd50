"""Declares the compiled modules; everything else about the package stands in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("TRUNKLINE_SANITIZE")  # e.g. "address": an instrumented build for the fuzzers
FLAGS = ["-O2", "-fno-plt"] if not SANITIZE else ["-O1", "-g", f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
PART = tuple(os.environ.get("TRUNKLINE_PART", "").split(","))  # e.g. "trunkline.protocol": only what begins like this
LINK = [] if not SANITIZE else [f"-fsanitize={SANITIZE}"]
# A build for tests, with the failpoints that are nothing in any other (src/trunkline/failpoints.py). Quickly made.
FAILPOINTS = bool(os.environ.get("TRUNKLINE_FAILPOINTS"))
MACROS: list[tuple[str, str | None]] = [("TRUNKLINE_FAILPOINTS", None)] if FAILPOINTS else []
FLAGS = ["-O0", "-g0"] if FAILPOINTS else FLAGS

COMPILED = (
    "trunkline.protocol.scanner",
    "trunkline.protocol.server_session",
    "trunkline.protocol.statement",
    "trunkline.routing.keys.hashing",
    "trunkline.routing.text.tokens",
    "trunkline.routing.text.lexer",
    "trunkline.routing.text.template",
    "trunkline.routing.text.fingerprint",
    "trunkline.routing.plans.call",
    "trunkline.routing.plans.evaluation",
    "trunkline.routing.plans.plan_cache",
    "trunkline.routing.session.bodies",
    "trunkline.net.place",
    "trunkline.net.sender",
    "trunkline.net.link",
    "trunkline.net.engine",
    "trunkline.pool.histogram",
    "trunkline.pool.server",
    "trunkline.pool.answers",
    "trunkline.pool.holding",
    "trunkline.pool.large",
    "trunkline.pool.prepared",
    "trunkline.pool.doubts",
    "trunkline.pool.row_types",
    "trunkline.pool.leases",
    "trunkline.execution.router",
    "trunkline.execution.whole",
    "trunkline.execution.readers",
    "trunkline.execution.spread.judging",
    "trunkline.execution.spread.whole_answers",
    "trunkline.execution.spread.participant",
    "trunkline.execution.merge.sort_keys",
    "trunkline.execution.merge.merger",
    "trunkline.execution.spread.copy_fields",
    "trunkline.execution.spread.copy_log",
    "trunkline.execution.spread.copy_split",
    "trunkline.execution.spread.copy_binary",
    "trunkline.proxy.client",
    "trunkline.proxy.steps",
    "trunkline.proxy.routed",
    "trunkline.proxy.blocks",
    "trunkline.proxy.handing",
    "trunkline.proxy.long_texts",
    "trunkline.proxy.reads",
    "trunkline.proxy.repeats",
    "trunkline.proxy.words",
    "trunkline.proxy.read_only",
    "trunkline.proxy.refusing",
)

extensions = [
    Extension(
        name,
        [f"src/{name.replace('.', '/')}.pyx"],
        define_macros=MACROS,
        extra_compile_args=FLAGS,
        extra_link_args=LINK,
    )
    for name in COMPILED
    if name.startswith(PART)
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "embedsignature": True,
        },
    )
)
