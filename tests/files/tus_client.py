"""Sends one file with tuspy, as a script would, for as long as it takes: tus_client.py ENDPOINT TOKEN FILE"""

import sys

from tusclient.client import TusClient


def main(endpoint: str, token: str, file: str) -> None:
    client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
    uploader = client.uploader(file, chunk_size=64 << 20, retries=200, retry_delay=1, metadata={"filename": "file.bin"})
    uploader.upload()
    print(uploader.url)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
