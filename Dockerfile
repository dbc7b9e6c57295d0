# A node in a container: one static binary, no shell, no root. "make image" builds the binary and then this; docs/operations/deploy.md
# has the same with the build inside a container.
FROM scratch

# The directory belongs to the user, so that a volume which is mounted there for the first time does too.
COPY --chown=65532:65532 .image/state /var/lib/pulsering
COPY .image/pulsering /pulsering

LABEL org.opencontainers.image.title="pulsering" \
      org.opencontainers.image.description="Tells the members of a cluster which of them are up, suspect, down or gone" \
      org.opencontainers.image.source="https://github.com/pulsering/pulsering" \
      org.opencontainers.image.licenses="Apache-2.0"

# By number: there is no /etc/passwd, and Kubernetes wants to see that it is not root.
USER 65532:65532

# HTTP on the loopback of the container's own network, for the health check: nobody else reaches it.
ENV PULSERING_HTTP=127.0.0.1:8080 \
    PULSERING_STATE_DIR=/var/lib/pulsering

# TCP and UDP.
EXPOSE 7946/tcp 7946/udp

# A node says goodbye at SIGTERM, within 5 s; Docker waits for 10.
STOPSIGNAL SIGTERM

# Healthy: the node has joined and answers. An isolated one is healthy too, as a restart would not help it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/pulsering", "members", "--http", "127.0.0.1:8080"]

ENTRYPOINT ["/pulsering"]
CMD ["node"]
