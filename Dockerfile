# Two images from one file: `node` runs an edge or a cloud, `test` drives them and draws the report. Neither has torch.
FROM python:3.11-slim AS base
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN useradd --create-home offramp

FROM base AS node
RUN pip install --no-cache-dir --no-compile --constraint constraints.txt . && rm -rf /app/src
USER offramp
EXPOSE 8000 8001
ENTRYPOINT ["offramp"]

FROM base AS test
RUN pip install --no-cache-dir --no-compile --constraint constraints.txt '.[data,report]' && rm -rf /app/src
USER offramp
ENTRYPOINT ["offramp"]
