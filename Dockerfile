# The sidecar's image: the pinned Node, its shared libraries, production packages, the compiled code, the starter bundle.
# No shell, no package manager, no user database beyond one line.
#
# `make image` builds it. What is copied was gathered beforehand by .ci/stage (why: see there), so the build itself needs
# no network. BASE only lends glibc and the C++ runtime; nothing else of it stays.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS libraries
COPY .tools/image/node /usr/local/bin/node
# What the loader itself names, under the paths it names. Node 26 wants libatomic, which Debian's slim image lacks.
RUN set -eu; \
    loader=$(echo /lib*/ld-linux-*.so.?); \
    if "$loader" --list /usr/local/bin/node | grep -q 'not found'; then \
      apt-get update && apt-get install --yes --no-install-recommends libatomic1 libstdc++6; \
    fi; \
    mkdir -p /out/etc /out/var/lib/postern /out/run/postern /out/run/postern-control; \
    for file in "$loader" $("$loader" --list /usr/local/bin/node | grep -o '/[^ )]*'); do \
      mkdir -p "/out$(dirname "$file")"; \
      cp -L "$file" "/out$file"; \
    done; \
    echo 'postern:x:65532:65532::/nonexistent:/sbin/nologin' >/out/etc/passwd; \
    echo 'postern:x:65532:' >/out/etc/group; \
    chmod 0700 /out/var/lib/postern /out/run/postern-control; \
    chmod 0750 /out/run/postern; \
    chown -R 65532:65532 /out/var/lib/postern /out/run/postern /out/run/postern-control

FROM scratch
# From what changes least to what changes most. The folders that the sidecar writes to keep their owner and mode when an
# empty volume is put over them.
COPY --from=libraries /out /
COPY .tools/image/node /usr/local/bin/node
COPY .tools/image/licenses /licenses
COPY .tools/image/etc /etc/postern
COPY .tools/image/app /app
ENV NODE_ENV=production
WORKDIR /app
# A number, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
VOLUME ["/var/lib/postern"]
EXPOSE 8383
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["/usr/local/bin/node", "/app/dist/main.js", "health", "--config", "/etc/postern/postern.yaml"]
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/main.js"]
CMD ["serve", "--config", "/etc/postern/postern.yaml"]
# Last, for it names the commit, and would have every layer after it made anew.
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Postern" \
      org.opencontainers.image.description="A policy-enforcement sidecar: judges every action of a non-human identity at the moment it is tried." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
