from pathlib import Path

import pytest

from kongflow_workerqueue.catalogue.catalogue import kinds_of_descriptor_set
from kongflow_workerqueue.catalogue.kind import Kind
from services.workerqueue.tests.descriptor_sets import compile_descriptor_set
from services.workerqueue.tests.unit.catalogue.mail import MESSAGES, CompileKinds


@pytest.fixture
def compile_kinds(tmp_path: Path) -> CompileKinds:
    """Compiles a mail service with the given methods into a descriptor set and reads it."""

    def compile_(methods: str, messages: str = MESSAGES) -> list[Kind]:
        source = f"""
            syntax = "proto3";
            package mail.v1;
            import "kongflow/workerqueue/v1/envelope.proto";
            import "kongflow/workerqueue/v1/job_options.proto";
            service MailService {{ {methods} }}
            {messages}
        """
        descriptor_set = compile_descriptor_set(tmp_path, "mail", source)
        return kinds_of_descriptor_set("mail", descriptor_set)

    return compile_
