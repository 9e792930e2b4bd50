"""Run by Python at the start of a process that has this directory in PYTHONPATH: puts the audit into a Trunkline."""

from tests.faults.audit import install

install()
