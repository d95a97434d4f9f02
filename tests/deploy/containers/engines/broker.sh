#!/bin/sh
# A one-node Kafka for deploy/compose: inside as broker:9092, outside as 127.0.0.1:$RUNBUS_KAFKA_PORT. $KAFKA_CLASS_PATH: its jars.
set -eu
cat > /tmp/server.properties <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=INSIDE://0.0.0.0:9092,OUTSIDE://0.0.0.0:19092,CONTROLLER://127.0.0.1:9093
advertised.listeners=INSIDE://broker:9092,OUTSIDE://127.0.0.1:${RUNBUS_KAFKA_PORT}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT
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
PROPERTIES
java="/opt/java/bin/java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp $KAFKA_CLASS_PATH"
[ -f /data/kafka/meta.properties ] || $java kafka.tools.StorageTool format --cluster-id=cnVuYnVzLXRlc3QtMDAwMQ -c /tmp/server.properties
exec $java kafka.Kafka /tmp/server.properties
