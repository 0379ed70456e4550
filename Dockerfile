# syntax=docker/dockerfile:1
# Three images, of the same layers: data builds records, train trains, app names butterflies.
#   docker build --target train --build-arg ACCELERATOR=gpu --tag butterflyer/train .
#   docker build --target data --tag butterflyer/data .
#   docker build --target app --tag butterflyer/app .
# ACCELERATOR=gpu brings CUDA 12 and cuDNN from PyPI, so that the host needs no more than a driver (525 or newer).
ARG PYTHON=3.12

# Every package of the lock that running takes, by its hash, into one folder.
FROM python:${PYTHON}-slim-bookworm AS packages
ARG ACCELERATOR=cpu
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_CACHE_DIR=/var/cache/uv
WORKDIR /build
COPY requirements.lock ./
RUN sed -n '/^uv==/,/# via/p' requirements.lock >uv.lock \
 && python -m pip install --no-cache-dir --no-deps --require-hashes --requirement uv.lock \
 && python -m uv venv /opt/butterflyer
COPY pyproject.toml ./
COPY scripts/cuda.lock scripts/
RUN --mount=type=cache,target=/var/cache/uv \
    if [ "${ACCELERATOR}" != cpu ]; then set -- --extra "${ACCELERATOR}"; fi \
 && python -m uv pip install --python /opt/butterflyer/bin/python --require-hashes \
      --constraint requirements.lock --constraint scripts/cuda.lock --requirement pyproject.toml \
      --extra train --extra cloud --extra wandb --extra export --extra app "$@"

FROM python:${PYTHON}-slim-bookworm AS base
RUN useradd --uid 10001 --create-home butterflyer \
 && install --directory --owner=10001 --group=10001 /cache /data /runs /feedback
COPY --from=packages /opt/butterflyer /opt/butterflyer
# What changes most comes last, and is small.
COPY configs /app/configs/
COPY butterflyer_jax /app/butterflyer_jax/
ENV PATH=/opt/butterflyer/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    BUTTERFLYER_CACHE=/cache \
    # Where Vertex AI and GKE put the driver.
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
USER 10001:10001
# Copies of data sets, compiled steps.
VOLUME /cache

# docker run -v $PWD:/data butterflyer/data --input /data/raw.zip --output /data/records
FROM base AS data
ENTRYPOINT ["python", "-m", "butterflyer_jax.data.build"]
CMD ["--help"]

# docker run --gpus all -v $PWD:/data -v $PWD/runs:/runs butterflyer/train
# Secrets come by mount: a key file of Google with GOOGLE_APPLICATION_CREDENTIALS, that of W&B with WANDB_API_KEY_FILE.
FROM base AS train
ENTRYPOINT ["python", "-m", "butterflyer_jax.train"]
CMD ["--config", "configs/vgg16.py", "--input", "/data", "--output", "/runs/vgg16", "--gpu", "1"]

# docker run -p 127.0.0.1:7860:7860 -v $PWD/runs:/runs:ro -v $PWD/password:/run/secrets/password:ro
#   -e BUTTERFLYER_APP_PASSWORD_FILE=/run/secrets/password butterflyer/app
# What visitors say is kept in the volume /feedback.
FROM base AS app
VOLUME /feedback
EXPOSE 7860
HEALTHCHECK --start-period=2m \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/health', timeout=5)"]
ENTRYPOINT ["python", "-m", "butterflyer_jax.app"]
CMD ["--run", "/runs/vgg16", "--host", "0.0.0.0", "--feedback", "/feedback/feedback.sqlite"]
