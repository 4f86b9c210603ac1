# Tokenweir's image: `tokenweir serve`, or any other command of it.
#
#   docker build --tag tokenweir .
#   docker build --tag tokenweir --build-arg EXTRAS=azure,clickhouse .
#
# docs/guides/containers.md tells how to run it. The process is PID 1 and needs no init beside it: it answers SIGTERM,
# and waits for its children itself. There is no HEALTHCHECK, because Kubernetes and Container Apps ignore it and ask
# /healthz and /readyz of the admin port; `docker run --health-cmd` takes the same.

ARG PYTHON=3.13

# Not slim: it has the C compiler that the core is compiled with. An image in pure Python: --build-arg PURE=1.
FROM docker.io/library/python:${PYTHON} AS build
ARG EXTRAS=azure,insights,kafka,postgres
ARG PURE=0
WORKDIR /build
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY src ./src
RUN TOKENWEIR_PURE=${PURE} python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# A virtual environment can be handed on whole: nothing of pip's or of the build is in the image that runs. Bytecode
# is made here, because it cannot be where the file system is read only.
RUN ["python", "-m", "venv", "--without-pip", "/opt/tokenweir"]
RUN python -m pip --python /opt/tokenweir/bin/python install --no-cache-dir --compile \
        "$(echo /wheels/tokenweir-*.whl)[${EXTRAS}]"

FROM docker.io/library/python:${PYTHON}-slim
LABEL org.opencontainers.image.title="Tokenweir" \
      org.opencontainers.image.description="The gateway and meter for Azure OpenAI" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/tokenweir /opt/tokenweir
# For replicas that share a volume, as on Container Apps.
COPY deploy/container/in_a_place.py /opt/tokenweir/bin/tokenweir-in-a-place

# One place is written to; everything else may be read only. It stands in `WORKDIR`, so that the paths of the settings'
# defaults (tokenweir-data/…) lie in it, too, and `TOKENWEIR_HOME` lets those of a file that is mounted read only start
# there. A new volume takes its owner from here.
RUN ["install", "--directory", "--owner=10001", "--group=10001", "--mode=0700", "/var/lib/tokenweir"]
VOLUME /var/lib/tokenweir
WORKDIR /var/lib/tokenweir

ENV PATH=/opt/tokenweir/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/var/lib/tokenweir \
    HOME=/var/lib/tokenweir \
    TOKENWEIR_HOME=. \
    TOKENWEIR_SERVER__DATA=0.0.0.0:8080 \
    TOKENWEIR_SERVER__ADMIN=127.0.0.1:8081

# A number, because `runAsNonRoot` cannot tell who a name is.
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["tokenweir"]
CMD ["serve"]
