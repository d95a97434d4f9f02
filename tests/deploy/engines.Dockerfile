# Stand-ins for the public images of deploy/compose, for a machine that can pull none: the real engines, from packages.
# tests/deploy/engine.py fills the context: jars/kafka, jars/registry, java, python (site-packages), prometheus.
ARG BASE_IMAGE=runbus-test/base

FROM ${BASE_IMAGE} AS java
COPY java /opt/java
ENV PATH=/opt/java/bin:$PATH
RUN install -d -o 1001 -g 1001 /data
USER 1001:1001
WORKDIR /tmp

FROM java AS broker
COPY jars/kafka /opt/kafka
COPY --chmod=755 broker.sh /usr/local/bin/
ENTRYPOINT ["tini", "--", "broker.sh"]

FROM java AS registry
COPY jars/registry /opt/registry
ENTRYPOINT ["tini", "--", "java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", "/opt/registry/*:/opt/registry/lib/*", "io.quarkus.runner.GeneratedMain"]

FROM ${BASE_IMAGE} AS clickhouse
COPY python /opt/python
ENV PYTHONPATH=/opt/python
RUN install -d -o 1001 -g 1001 /data
COPY clickhouse.py /usr/local/bin/
USER 1001:1001
ENTRYPOINT ["tini", "--", "python3", "/usr/local/bin/clickhouse.py"]

FROM ${BASE_IMAGE} AS prometheus
COPY prometheus promtool /usr/bin/
RUN install -d -o 1001 -g 1001 /prometheus
USER 1001:1001
ENTRYPOINT ["prometheus"]
