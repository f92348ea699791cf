# Records what TensorBoard's own writer makes of a few events: packages/tutti/test/tensorboard/recorded.json.
#   pip install tensorboard==2.21.0 && python3 test/parity/event-files.py
import base64, json, pathlib
import tensorboard
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
import io

scalar = lambda tag, value: summary_pb2.Summary.Value(tag=tag, simple_value=value)
events = [
    event_pb2.Event(wall_time=1.5, file_version="brain.Event:2"),
    event_pb2.Event(wall_time=1794000000.25, step=101, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)),
    event_pb2.Event(wall_time=1794000001.0, step=0, summary=summary_pb2.Summary(value=[scalar("loss", 2.5)])),
    event_pb2.Event(
        wall_time=1794000002.125,
        step=3_000_000_000,
        summary=summary_pb2.Summary(value=[scalar("loss", 0.1), scalar("größe/µ", -1e-30), scalar("nan", float("nan"))]),
    ),
]
stream = io.BytesIO()
writer = RecordWriter(stream)
for event in events:
    writer.write(event.SerializeToString())
path = pathlib.Path(__file__).parents[2] / "packages/tutti/test/tensorboard/recorded.json"
recorded = {"tensorboard": tensorboard.__version__, "file": base64.b64encode(stream.getvalue()).decode()}
path.write_text(json.dumps(recorded, indent=2) + "\n")
