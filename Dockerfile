# Two stages: the Swift toolchain builds, Debian's slim image runs. The Swift runtime is linked in statically, so the
# second image needs nothing of the first but the program.

FROM swift:6.3-bookworm AS builder
RUN apt-get -qq update \
    && apt-get -qq install --yes --no-install-recommends librdkafka-dev libssl-dev liblmdb-dev \
        libargon2-dev libcurl4-openssl-dev libavro-dev libjemalloc-dev pkg-config make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies first: a change of the sources then doesn't fetch them again.
COPY Package.* ./
RUN swift package resolve
COPY . .
# RELEASE_FLAGS of the Makefile, so that both ways build the same program.
RUN swift build $(sed -n 's/^RELEASE_FLAGS = //p' Makefile) --static-swift-stdlib --product headwater \
    && install -s .build/release/headwater /headwater

FROM debian:12-slim
RUN apt-get -qq update \
    && apt-get -qq install --yes --no-install-recommends librdkafka1 libssl3 liblmdb0 libargon2-1 libcurl4 libavro23 libjemalloc2 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1883 --home-dir /var/lib/headwater --create-home --shell /usr/sbin/nologin headwater \
    && chmod 0700 /var/lib/headwater
COPY --from=builder /headwater /usr/bin/headwater
COPY deploy/docker.yaml /etc/headwater/headwater.yaml
USER headwater
WORKDIR /var/lib/headwater
VOLUME /var/lib/headwater
EXPOSE 1883 9883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["headwater", "health", "--address", "127.0.0.1:9883"]
ENTRYPOINT ["headwater"]
CMD ["run", "--config", "/etc/headwater/headwater.yaml"]
