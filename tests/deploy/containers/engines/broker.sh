#!/bin/sh
# A one-node Kafka. $KAFKA_CLASS_PATH: its jars. For deploy/compose: inside as broker:9092, outside as
# 127.0.0.1:$RUNBUS_KAFKA_PORT; other listeners by $KAFKA_LISTENERS, $KAFKA_ADVERTISED, $KAFKA_PROTOCOLS.
set -eu
mkdir -p /data
cat > /tmp/server.properties <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=${KAFKA_LISTENERS:-INSIDE://0.0.0.0:9092,OUTSIDE://0.0.0.0:19092},CONTROLLER://127.0.0.1:9093
advertised.listeners=${KAFKA_ADVERTISED:-INSIDE://broker:9092,OUTSIDE://127.0.0.1:${RUNBUS_KAFKA_PORT:-}}
controller.listener.names=CONTROLLER
inter.broker.listener.name=${KAFKA_INTER_BROKER:-INSIDE}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,${KAFKA_PROTOCOLS:-INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT}
log.dirs=/data/kafka
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
# The tests' sessions are short, as on the broker of the local stack.
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
log.cleaner.backoff.ms=1000
PROPERTIES
java="/opt/java/bin/java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp $KAFKA_CLASS_PATH"
# the class path may end with /*, which is Java's to expand
set -f
[ -f /data/kafka/meta.properties ] || $java kafka.tools.StorageTool format --cluster-id=cnVuYnVzLXRlc3QtMDAwMQ -c /tmp/server.properties
exec $java kafka.Kafka /tmp/server.properties
