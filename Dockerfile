# colorbatch on the CPU:
#   docker build -t colorbatch .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD/old_photos:/old_photos:ro" -v "$PWD/out:/out" colorbatch run /old_photos /out
FROM python:3.12-slim AS build
COPY . /source
RUN python -m venv /opt/colorbatch && /opt/colorbatch/bin/pip install --no-cache-dir '/source[cpu]'

FROM python:3.12-slim
COPY --from=build /opt/colorbatch /opt/colorbatch
RUN useradd --uid 1000 --create-home colorbatch
USER colorbatch
WORKDIR /home/colorbatch
ENTRYPOINT ["/opt/colorbatch/bin/colorbatch"]
CMD ["--help"]
