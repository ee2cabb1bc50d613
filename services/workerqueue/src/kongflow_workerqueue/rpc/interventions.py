"""Who steps in, and why."""

from kongflow_common.auth.principals import current_principal
from kongflow_common.rpc.field_parsing import optional_text
from kongflow_workerqueue.application.intervention import Intervention


def intervention(reason: str) -> Intervention:
    """Tell who calls, and the reason they gave."""
    principal = current_principal()
    return Intervention(
        caller=principal.kind.value,
        caller_name=principal.name,
        caller_key_id=principal.key_id,
        reason=optional_text(reason, "reason"),
    )
