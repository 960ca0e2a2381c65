# Parley: the server with its page. Two stages, so that what builds it is not in what runs.

FROM python:3.13-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN make build \
 && python -m venv /parley \
 && /parley/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /parley/bin/pip install --no-cache-dir --no-deps dist/parley-*.whl

FROM python:3.13-slim-bookworm
COPY --from=build /parley /parley
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --create-home --home-dir /data parley && chown 10001:10001 /data
USER 10001:10001
ENV PATH=/parley/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PARLEY_SERVER__HOST=0.0.0.0 PARLEY_SERVER__PORT=8000 PARLEY_SERVER__DATA=/data
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: a node that drains is to be left alone until it is done.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PARLEY_SERVER__PORT']}/healthz\", timeout=2)"]
ENTRYPOINT ["parley"]
CMD ["serve"]
