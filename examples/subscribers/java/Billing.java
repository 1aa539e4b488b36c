import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;

/**
 * Credits the minutes of attended sessions, each once and in order: java Billing.java JOURNAL
 *
 * <p>The journal is effect and position in one line, so that a crash leaves both or neither.
 */
public final class Billing {
    static final String WANTED = "care.attendance.session-attended.v1";
    static final Pattern MINUTES = Pattern.compile("\"minutes_credited\":\\s*(\\d+)"); // your JSON library instead
    static final Pattern FAMILY_ONLY = Pattern.compile("\"family_only\":\\s*true"); // the patient was not there
    final Map<String, Long> last = new HashMap<>(); // the last number of each stream: source and subject
    final RandomAccessFile journal;

    Billing(Path path) throws Exception {
        journal = new RandomAccessFile(path.toFile(), "rw");
        String text = Files.readString(path);
        String whole = text.substring(0, text.lastIndexOf('\n') + 1); // a line that a crash cut short never happened
        journal.setLength(whole.getBytes(StandardCharsets.UTF_8).length);
        journal.seek(journal.length());
        for (String line : whole.split("\n")) {
            String[] entry = line.split(" ");
            if (entry.length > 2) last.put(entry[0] + " " + entry[1], Long.parseLong(entry[2]));
        }
    }

    void take(ConsumerRecord<String, String> record) throws Exception {
        String stream = header(record, "ce_source") + " " + header(record, "ce_subject");
        long number = Long.parseLong(header(record, "ce_sequence"));
        long before = last.getOrDefault(stream, 0L);
        if (number <= before) return; // it came again
        if (number > before + 1) {
            System.err.printf("gap in %s: %d to %d; tell the operators%n", stream, before + 1, number - 1);
        }
        String line = stream + " " + number; // events of other types are noted too: their numbers count
        if (header(record, "ce_type").equals(WANTED) && !FAMILY_ONLY.matcher(record.value()).find()) {
            Matcher found = MINUTES.matcher(record.value());
            if (!found.find()) throw new IllegalStateException("no minutes in " + stream + " " + number);
            line += " " + found.group(1);
        }
        journal.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        last.put(stream, number);
    }

    static String header(ConsumerRecord<String, String> record, String name) {
        return new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
    }

    static Properties settings() throws Exception {
        String text = "org.apache.kafka.common.serialization.StringDeserializer";
        String user = System.getenv("KAFKA_USERNAME");
        Properties found = new Properties();
        found.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP"));
        found.put("group.id", user == null ? "billing" : user);
        found.put("auto.offset.reset", "earliest");
        found.put("enable.auto.commit", "false");
        found.put("session.timeout.ms", "10000");
        found.put("key.deserializer", text);
        found.put("value.deserializer", text);
        if (user != null) {
            String password = Files.readString(Path.of(System.getenv("KAFKA_PASSWORD_FILE"))).strip();
            found.put("security.protocol", "SASL_SSL");
            found.put("ssl.truststore.type", "PEM");
            found.put("ssl.truststore.location", System.getenv("KAFKA_CA_FILE"));
            found.put("sasl.mechanism", "SCRAM-SHA-512");
            found.put("sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required"
                    + " username=\"" + user + "\" password=\"" + password + "\";");
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        Billing billing = new Billing(Path.of(arguments[0]));
        Thread here = Thread.currentThread();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings())) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    here.join(10_000);
                } catch (InterruptedException ignored) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of("care.attendance"));
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<String, String> record : records) billing.take(record);
                billing.journal.getFD().sync(); // before the offsets are committed
                consumer.commitSync();
            }
        } catch (WakeupException stopped) {
            billing.journal.close();
        }
    }
}
