"""A protoc plugin that writes `*_pb2_grpc.py`, for files that define services only.

buf runs plugins as programs, and grpcio-tools ships its generator only inside its own protoc. This
program is the bridge: it hands the descriptors that it is given to that protoc.
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Answer a request; the answer's `error` is set when the generator refuses the files."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    wanted = set(request.file_to_generate)
    with_services = [
        file.name for file in request.proto_file if file.name in wanted and file.service
    ]
    if not with_services:
        return response
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder, "descriptors.binpb")
        descriptors.write_bytes(
            descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString()
        )
        output = Path(folder, "out")
        output.mkdir()
        exit_code = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={descriptors}",
                f"--grpc_python_out={output}",
                *with_services,
            ]
        )
        if exit_code != 0:
            response.error = f"protoc ended with {exit_code} for {', '.join(with_services)}"
            return response
        for path in sorted(output.rglob("*.py")):
            response.file.add(name=str(path.relative_to(output)), content=path.read_text())
    return response


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
