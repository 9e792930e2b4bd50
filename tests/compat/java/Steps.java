import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What the Java scripts share: steps that print what they got, each under a heading of its own (python/steps.py). */
final class Steps {
    interface Work {
        void run() throws Exception;
    }

    interface Numbered {
        Object run(int number) throws Exception;
    }

    private record Step(String name, Work work) {}

    private final List<Step> steps = new ArrayList<>();

    void add(String name, Work work) {
        steps.add(new Step(name, work));
    }

    void run(String version) {
        endWhenStuck();
        print("# " + version);
        for (Step step : steps) {
            print("== " + step.name());
            try {
                step.work().run();
            } catch (Exception error) {
                print("FAILED " + error);
            }
        }
    }

    private static void endWhenStuck() {
        String seconds = System.getenv().getOrDefault("COMPAT_STUCK_S", "45");
        Thread watchdog = new Thread(() -> {
            try {
                Thread.sleep((long) (1000 * Double.parseDouble(seconds)));
            } catch (InterruptedException error) {
                return;
            }
            Thread.getAllStackTraces().forEach((thread, stack) -> System.err.println(thread + " " + List.of(stack)));
            Runtime.getRuntime().halt(1);
        });
        watchdog.setDaemon(true);
        watchdog.start();
    }

    static void print(Object... values) {
        StringBuilder line = new StringBuilder();
        for (Object value : values) {
            line.append(line.isEmpty() ? "" : " ").append(value);
        }
        System.out.println(line);
    }

    /** Prints the error that has to come here. */
    static void expecting(Work work) throws Exception {
        try {
            work.run();
            print("no error");
        } catch (SQLException error) {
            print(error.getClass().getSimpleName(), error.getSQLState(), error.getMessage());
        }
    }

    /** The results of run(0) to run(count - 1), each in a thread of its own. */
    static List<Object> atOnce(int count, Numbered work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(count);
        List<Future<Object>> futures = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            int mine = number;
            futures.add(threads.submit((Callable<Object>) () -> work.run(mine)));
        }
        List<Object> results = new ArrayList<>();
        for (Future<Object> future : futures) {
            try {
                results.add(future.get());
            } catch (Exception error) {
                results.add("FAILED " + error.getCause());
            }
        }
        threads.shutdown();
        return results;
    }
}
