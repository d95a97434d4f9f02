"""Records an agent that talks: text and JSON are values like any other. `python examples/tool_agent.py`, then

runbus query "SELECT step, action_text, observation_text, reward FROM steps WHERE run_id = 'tool-agent' ORDER BY seq"
"""

from runbus.recorder import Recorder

QUESTIONS = {"What is 6 x 7?": 6 * 7, "What is 12 + 30?": 12 + 30}

with Recorder(run="tool-agent", agent="calculator", config={"tools": ["calculator"]}) as recorder:
    for question, answer in QUESTIONS.items():
        recorder.reset(question)
        recorder.step({"tool": "calculator", "input": question}, 0.0, False, False, str(answer))
        recorder.log({"tokens": float(len(question.split()))})
        recorder.step({"tool": "answer", "text": str(answer)}, 1.0, True, False, "correct")
