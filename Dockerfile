# docker build -t trunkline . && docker run --rm -p 6432:6432 -e DATABASE_URL=postgres://user:password@host/db trunkline
# Runs as an ordinary user and writes nothing, so a read-only root file system is fine (docker run --read-only).
# A configuration file is mounted and named: docker run -v ./trunkline.toml:/etc/trunkline.toml trunkline /etc/trunkline.toml
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install --no-install-recommends -y gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python -m venv /opt/trunkline
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src ./src
RUN /opt/trunkline/bin/pip install --no-cache-dir . && /opt/trunkline/bin/pip uninstall -y pip

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 trunkline \
 && useradd --system --uid 10001 --gid trunkline --no-create-home --home-dir /nonexistent trunkline
COPY --from=build /opt/trunkline /opt/trunkline
# Every setting can be given as TRUNKLINE_<SETTING>; the address below is what makes a container reachable.
ENV PATH=/opt/trunkline/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRUNKLINE_LISTEN_ADDR=0.0.0.0 \
    TRUNKLINE_LISTEN_PORT=6432
USER 10001:10001
EXPOSE 6432
# SIGTERM drains: clients finish their transactions, then the process ends. The default of 10 s may be short for that.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["python", "-m", "trunkline.health"]
# The exec form: the process is PID 1's own, so that signals reach it and no shell swallows them.
ENTRYPOINT ["trunkline", "serve"]
