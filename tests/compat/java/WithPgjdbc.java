import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.postgresql.Driver;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.ds.PGConnectionPoolDataSource;

/** pgjdbc with its defaults (prepareThreshold 5): server-prepared statements, fetch sizes, batches, COPY, metadata. */
public final class WithPgjdbc {
    private static final String[] UNICODE = {
        "", "plain", "naïve", "日本語", "🐘🦣", "a\tb\nc", "quote ' \" \\ back", "\u0001\u007f\u200b", "x".repeat(10_000)
    };

    private static String env(String name) {
        return System.getenv(name);
    }

    private static String url() {
        return "jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + env("PGDATABASE");
    }

    private static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", env("PGUSER"));
        properties.setProperty("password", env("PGPASSWORD"));
        for (int at = 0; at < options.length; at += 2) {
            properties.setProperty(options[at], options[at + 1]);
        }
        return DriverManager.getConnection(url(), properties);
    }

    private static List<List<Object>> rows(ResultSet result) throws SQLException {
        List<List<Object>> rows = new ArrayList<>();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= result.getMetaData().getColumnCount(); column++) {
                row.add(result.getObject(column));
            }
            rows.add(row);
        }
        return rows;
    }

    private static List<List<Object>> fetch(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            return statement.execute() ? rows(statement.getResultSet()) : List.of();
        }
    }

    private static void connects() throws Exception {
        try (Connection connection =
                connect("ApplicationName", "compat", "options", "-c lock_timeout=3210", "currentSchema", "public")) {
            for (String name : List.of("lock_timeout", "application_name", "search_path", "extra_float_digits", "DateStyle")) {
                Steps.print(name, fetch(connection, "SHOW " + name));
            }
            DatabaseMetaData data = connection.getMetaData();
            Steps.print(data.getDatabaseProductVersion(), data.getMaxColumnNameLength(), connection.getSchema());
            Steps.print(connection.isValid(5), connection.getTransactionIsolation(), connection.isReadOnly());
            connection.setClientInfo("ApplicationName", "renamed");
            Steps.print(fetch(connection, "SHOW application_name"));
            connection.setSchema("pg_catalog");
            Steps.print(fetch(connection, "SELECT count(*) > 0 FROM pg_class"), connection.getSchema());
        }
    }

    private static void refuses() throws Exception {
        Steps.expecting(() -> connect("password", "not this one"));
        String elsewhere = url().replace(env("PGDATABASE"), "not_there");
        Steps.expecting(() -> DriverManager.getConnection(elsewhere, env("PGUSER"), env("PGPASSWORD")).close());
    }

    private static void simple() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            Steps.print(rows(statement.executeQuery("SELECT 1, 'two', 3.5::float8, NULL, true")));
            boolean isRows = statement.execute("SELECT 1; CREATE TABLE pages (n int); INSERT INTO pages VALUES (1), (2); SELECT 2");
            while (isRows || statement.getUpdateCount() >= 0) {
                Steps.print(isRows ? rows(statement.getResultSet()) : statement.getUpdateCount());
                isRows = statement.getMoreResults();
            }
        }
        try (Connection connection = connect("preferQueryMode", "simple")) {
            Steps.print(fetch(connection, "SELECT ?, ?::text", 1, "é"));
        }
    }

    /** At its sixth execution a statement gets a name; from then on it may come as binary. */
    private static void preparedAndReused() throws Exception {
        try (Connection one = connect(); Connection two = connect()) {
            try (PreparedStatement first = one.prepareStatement("SELECT ?::int + 1, ?::text, now() > '2000-01-01'");
                    PreparedStatement second = two.prepareStatement("SELECT ?::int * 2")) {
                for (int number = 0; number < 10; number++) {
                    first.setInt(1, number);
                    first.setString(2, "é" + number);
                    second.setInt(1, number);
                    Steps.print(rows(first.executeQuery()), rows(second.executeQuery()));
                }
            }
            for (int number = 0; number < 10; number++) {
                Steps.print(fetch(one, "SELECT ?::bigint - 1", (long) number), fetch(two, "SELECT count(*) FROM pages"));
            }
            Steps.print(((PGConnection) one).getPrepareThreshold());
        }
    }

    private static void plansThatDdlChanges() throws Exception {
        try (Connection connection = connect("autosave", "conservative")) {
            fetch(connection, "CREATE TABLE changing (n int)");
            for (int again = 0; again < 7; again++) {
                fetch(connection, "SELECT * FROM changing");
            }
            fetch(connection, "ALTER TABLE changing ADD m text");
            fetch(connection, "INSERT INTO changing VALUES (1, 'one')");
            Steps.print(fetch(connection, "SELECT * FROM changing"));
        }
    }

    private static void transactions() throws Exception {
        try (Connection connection = connect()) {
            connection.setAutoCommit(false);
            fetch(connection, "CREATE TABLE numbers (n int PRIMARY KEY)");
            connection.commit();
            fetch(connection, "INSERT INTO numbers VALUES (?)", 1);
            connection.rollback();
            fetch(connection, "INSERT INTO numbers VALUES (?)", 2);
            Savepoint here = connection.setSavepoint("here");
            Steps.expecting(() -> fetch(connection, "INSERT INTO numbers VALUES (?)", 2));
            connection.rollback(here);
            connection.commit();
            Steps.print(fetch(connection, "SELECT * FROM numbers"));
            connection.rollback();
        }
    }

    /** SET SESSION CHARACTERISTICS, and BEGIN READ ONLY from version 42.2.9 on. */
    private static void characteristics() throws Exception {
        try (Connection connection = connect(); Connection other = connect()) {
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            for (int again = 0; again < 3; again++) {
                Steps.print(fetch(connection, "SHOW transaction_isolation"), fetch(connection, "SHOW transaction_read_only"));
                connection.rollback();
                Steps.print(fetch(other, "SHOW transaction_isolation"), fetch(other, "SHOW transaction_read_only"));
            }
            Steps.expecting(() -> fetch(connection, "INSERT INTO numbers VALUES (3)"));
            connection.rollback();
            connection.setReadOnly(false);
            fetch(connection, "INSERT INTO numbers VALUES (3)");
            connection.commit();
            Steps.print(connection.getTransactionIsolation() == Connection.TRANSACTION_SERIALIZABLE);
        }
        try (Connection connection = connect("readOnly", "true", "readOnlyMode", "always")) {
            Steps.expecting(() -> fetch(connection, "INSERT INTO numbers VALUES (4)"));
        }
    }

    private static void errorsAndRecovery() throws Exception {
        try (Connection connection = connect()) {
            for (String sql : List.of("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere", "INSERT INTO numbers VALUES (2)")) {
                for (int again = 0; again < 7; again++) {
                    Steps.expecting(() -> fetch(connection, sql));
                }
                Steps.print(fetch(connection, "SELECT 'well again'"));
            }
            connection.setAutoCommit(false);
            Steps.expecting(() -> fetch(connection, "SELECT 1/?", 0));
            Steps.expecting(() -> fetch(connection, "SELECT 1"));
            connection.rollback();
            Steps.print(fetch(connection, "SELECT 'well again'"));
            connection.rollback();
        }
        try (Connection connection = connect("autosave", "always")) {
            connection.setAutoCommit(false);
            Steps.expecting(() -> fetch(connection, "SELECT 1/?", 0));
            Steps.print(fetch(connection, "SELECT 'saved'"));
        }
    }

    private static void batches() throws Exception {
        try (Connection connection = connect()) {
            fetch(connection, "CREATE TABLE batched (n int PRIMARY KEY, word text, id serial)");
            batch(connection, 0, 700);
            Steps.expecting(() -> batch(connection, 650, 720));
            Steps.print(fetch(connection, "SELECT count(*), sum(n) FROM batched"));
            try (PreparedStatement insert = connection.prepareStatement(
                    "INSERT INTO batched (n) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int number = 1000; number < 1003; number++) {
                    insert.setInt(1, number);
                    insert.addBatch();
                }
                insert.executeBatch();
                Steps.print(rows(insert.getGeneratedKeys()).size());
            }
        }
        try (Connection connection = connect("reWriteBatchedInserts", "true")) {
            batch(connection, 2000, 2500);
            Steps.print(fetch(connection, "SELECT count(*) FROM batched"));
        }
    }

    private static void batch(Connection connection, int from, int to) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batched VALUES (?, ?)")) {
            for (int number = from; number < to; number++) {
                insert.setInt(1, number);
                insert.setString(2, "word " + number);
                insert.addBatch();
            }
            Steps.print(Arrays.stream(insert.executeBatch()).filter(count -> count == 1 || count == -2).count());
        } catch (BatchUpdateException error) {
            throw error.getNextException() == null ? error : error.getNextException();
        }
    }

    private static void copies() throws Exception {
        try (Connection connection = connect()) {
            CopyManager copies = ((PGConnection) connection).getCopyAPI();
            fetch(connection, "CREATE TABLE lines (n int, word text)");
            StringBuilder lines = new StringBuilder();
            for (int number = 0; number < 5000; number++) {
                lines.append(number).append("\tword ").append(number).append(" é\n");
            }
            Steps.print(copies.copyIn("COPY lines FROM STDIN", new StringReader(lines.toString())));
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            Steps.print(copies.copyOut("COPY lines TO STDOUT", out), out.size());
            byte[] bad = "1\tone\nx\ttwo\n".getBytes(StandardCharsets.UTF_8);
            Steps.expecting(() -> copies.copyIn("COPY lines FROM STDIN", new ByteArrayInputStream(bad)));
            var abandoned = copies.copyIn("COPY lines FROM STDIN");
            abandoned.writeToCopy(bad, 0, bad.length);
            abandoned.cancelCopy();
            Steps.print(fetch(connection, "SELECT count(*) FROM lines"));
        }
    }

    private static void fetchSizes() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.setFetchSize(70);
            for (int again = 0; again < 7; again++) {
                int count = 0;
                try (ResultSet result = statement.executeQuery("SELECT generate_series(1, 1000)")) {
                    while (result.next()) {
                        count += result.getInt(1);
                    }
                }
                Steps.print(count);
                connection.commit();
            }
            ResultSet left = statement.executeQuery("SELECT generate_series(1, 1000)");
            left.next();
            Steps.print(left.getInt(1), fetch(connection, "SELECT 'beside it'"));
            connection.commit();
            connection.setAutoCommit(true);
            Statement scrolling = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet updatable = scrolling.executeQuery("SELECT n, word FROM batched WHERE n < 3 ORDER BY n");
            updatable.last();
            updatable.updateString("word", "updated");
            updatable.updateRow();
            Steps.print(fetch(connection, "SELECT word FROM batched WHERE n = 2"));
        }
    }

    private static void cancels() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            CountDownLatch ended = new CountDownLatch(1);
            Thread canceller = new Thread(() -> {
                try {
                    while (!ended.await(200, TimeUnit.MILLISECONDS)) {
                        statement.cancel();
                    }
                } catch (Exception error) {
                    Steps.print("FAILED " + error);
                }
            });
            canceller.start();
            Steps.expecting(() -> statement.execute("SELECT pg_sleep(30)"));
            ended.countDown();
            canceller.join();
            Steps.print(fetch(connection, "SELECT 'well again'"));
            statement.setQueryTimeout(1);
            Steps.expecting(() -> statement.execute("SELECT pg_sleep(30)"));
            Steps.print(fetch(connection, "SELECT 'well again'"));
        }
    }

    private static void nullAndUnicode() throws Exception {
        try (Connection connection = connect()) {
            for (String text : UNICODE) {
                List<Object> row = fetch(connection, "SELECT ?::text, ?::text, octet_length(?::text)", text, null, text).get(0);
                Steps.print(row.get(0).equals(text), row.get(1), row.get(2));
            }
            byte[] bytes = new byte[256];
            for (int at = 0; at < bytes.length; at++) {
                bytes[at] = (byte) at;
            }
            for (int again = 0; again < 7; again++) {
                Steps.print(Arrays.equals((byte[]) fetch(connection, "SELECT ?::bytea", bytes).get(0).get(0), bytes));
            }
            Array array = connection.createArrayOf("int4", new Object[] {1, null, 3});
            Steps.print(fetch(connection, "SELECT ?::int[], ?::uuid", array, "11111111-2222-3333-4444-555555555555"));
            Steps.expecting(() -> fetch(connection, "SELECT ?::text", "a\0b"));
            Steps.print(fetch(connection, "SELECT 'well again'"));
        }
    }

    private static void metadata() throws Exception {
        try (Connection connection = connect()) {
            DatabaseMetaData data = connection.getMetaData();
            try (ResultSet columns = data.getColumns(null, "public", "batched", null)) {
                while (columns.next()) {
                    Steps.print(columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME"), columns.getString("IS_NULLABLE"));
                }
            }
            Steps.print(rows(data.getPrimaryKeys(null, "public", "batched")), rows(data.getTableTypes()).size() > 5);
        }
    }

    private static void stateOfTheSession() throws Exception {
        try (Connection one = connect()) {
            try (Connection two = connect()) {
                one.createStatement().execute("SET lock_timeout = 4321; SET compat.mine = 'one'");
                two.createStatement().execute("SET compat.mine = 'two'");
                for (int again = 0; again < 3; again++) {
                    Steps.print(fetch(one, "SHOW lock_timeout"), fetch(one, "SHOW compat.mine"));
                    Steps.print(fetch(two, "SHOW lock_timeout"), fetch(two, "SHOW compat.mine"));
                }
            }
            fetch(one, "CREATE TEMP TABLE passing (n int)");
            fetch(one, "INSERT INTO passing VALUES (?)", 1);
            Steps.print(fetch(one, "SELECT * FROM passing"));
        }
    }

    private static void notices() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.execute("DO $$ BEGIN RAISE NOTICE 'heard'; END $$");
            Steps.print(statement.getWarnings().getMessage());
        }
    }

    private static void notifications() throws Exception {
        try (Connection listener = connect(); Connection speaker = connect()) {
            fetch(listener, "LISTEN news");
            for (int number = 0; number < 3; number++) {
                fetch(speaker, "SELECT pg_notify('news', ?)", "number " + number + " é");
            }
            List<String> heard = new ArrayList<>();
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
            while (heard.size() < 3 && System.nanoTime() < deadline) {
                PGNotification[] some = ((PGConnection) listener).getNotifications(100);
                for (PGNotification one : some == null ? new PGNotification[0] : some) {
                    heard.add(one.getName() + ": " + one.getParameter());
                }
            }
            Steps.print(heard);
        }
    }

    private static void manyConnections() throws Exception {
        try (Connection first = connect()) {
            fetch(first, "CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)");
            Steps.print(Steps.atOnce(20, who -> {
                try (Connection connection = connect()) {
                    fetch(connection, "INSERT INTO counted VALUES (?, 0)", who);
                    connection.setAutoCommit(false);
                    for (int number = 0; number < 10; number++) {
                        fetch(connection, "UPDATE counted SET times = times + 1 WHERE who = ?", who);
                        connection.commit();
                        var rows = fetch(connection, "SELECT " + who + ", times FROM counted WHERE who = ?", who);
                        connection.commit();
                        if (!rows.equals(List.of(List.of(who, number + 1)))) {
                            throw new IllegalStateException("wrong: " + rows);
                        }
                    }
                    return who;
                }
            }));
            Steps.print(fetch(first, "SELECT count(*), sum(times) FROM counted"));
        }
    }

    private static void pooledConnection() throws Exception {
        PGConnectionPoolDataSource source = new PGConnectionPoolDataSource();
        source.setUrl(url());
        source.setUser(env("PGUSER"));
        source.setPassword(env("PGPASSWORD"));
        var pooled = source.getPooledConnection();
        for (int again = 0; again < 5; again++) {
            try (Connection connection = pooled.getConnection()) {
                connection.setAutoCommit(again % 2 == 0);
                Steps.print(fetch(connection, "SELECT ?::int", again));
            }
        }
        pooled.close();
    }

    public static void main(String[] arguments) {
        Steps steps = new Steps();
        steps.add("connects", WithPgjdbc::connects);
        steps.add("refuses", WithPgjdbc::refuses);
        steps.add("simple", WithPgjdbc::simple);
        steps.add("prepared_and_reused", WithPgjdbc::preparedAndReused);
        steps.add("plans_that_ddl_changes", WithPgjdbc::plansThatDdlChanges);
        steps.add("transactions", WithPgjdbc::transactions);
        steps.add("characteristics", WithPgjdbc::characteristics);
        steps.add("errors_and_recovery", WithPgjdbc::errorsAndRecovery);
        steps.add("batches", WithPgjdbc::batches);
        steps.add("copies", WithPgjdbc::copies);
        steps.add("fetch_sizes", WithPgjdbc::fetchSizes);
        steps.add("cancels", WithPgjdbc::cancels);
        steps.add("null_and_unicode", WithPgjdbc::nullAndUnicode);
        steps.add("metadata", WithPgjdbc::metadata);
        steps.add("state_of_the_session", WithPgjdbc::stateOfTheSession);
        steps.add("notices", WithPgjdbc::notices);
        steps.add("many_connections", WithPgjdbc::manyConnections);
        steps.add("pooled_connection", WithPgjdbc::pooledConnection);
        steps.add("notifications", WithPgjdbc::notifications);
        steps.run(Driver.getVersion());
        System.exit(0);
    }
}
