"""A fin as anybody would write one, with SOARCA's published library and nothing else.

Usage: fin.py PORT USER PASSWORD FIN_ID CAPABILITY_ID...
"""

import sys
import time

from soarca_fin_python_library.enums.workflow_step_enum import WorkFlowStepEnum
from soarca_fin_python_library.models.agent_structure import AgentStructure
from soarca_fin_python_library.models.capability_structure import CapabilityStructure
from soarca_fin_python_library.models.result_structure import ResultStructure
from soarca_fin_python_library.models.variable import Variable
from soarca_fin_python_library.soarca_fin import SoarcaFin


def variable(name, value):
    return Variable(
        type="string", name=name, description="", value=value, constant=False, external=False
    )


def carry_out(message):
    command = message.command
    words = command.command.split()
    answer = {"__timeout__": str(command.context.timeout)}
    if words[0] == "sleep":
        time.sleep(float(words[1]))
    if words[0] == "login":
        known = command.authentication
        answer["__user__"] = known.user_id if known else "nobody"
        # Only a length: the test looks whether the value arrived, not for the value.
        answer["__length__"] = str(len(known.password)) if known else "0"
        answer["__leak__"] = known.password if known else ""
    if words[0] == "say":
        answer["__said__"] = " ".join(words[1:])
        answer["__word__"] = command.variables["__word__"].value
    state = "failure" if words[0] == "fail" else "success"
    variables = {name: variable(name, value) for name, value in answer.items()}
    return ResultStructure(state=state, context=command.context, variables=variables)


port, user, password, fin_id = sys.argv[1:5]
fin = SoarcaFin(fin_id)
fin.set_config_MQTT_server("127.0.0.1", int(port), user, password)
for capability_id in sys.argv[5:]:
    capability = CapabilityStructure(
        capability_id=capability_id,
        type=WorkFlowStepEnum.action,
        name=f"the {capability_id}",
        version="0.0.1",
        agent={f"soarca-fin--{capability_id}": AgentStructure(name=f"soarca-fin-{capability_id}")},
    )
    fin.create_fin_capability(capability, carry_out)
fin.start_fin()
