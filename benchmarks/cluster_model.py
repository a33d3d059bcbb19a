"""Time, memory and traffic of a fit on many machines, from measured kernels and counted bytes.

    python benchmarks/cluster_model.py                        100,000,000 x 50, 4 to 64 machines
    python benchmarks/cluster_model.py --check --rows 200000  beside runs of 1 to 3 workers, here

Measured here, by processor time of one thread: two local fits, of which the larger has four times
the rows, for the costs of a row and how they grow; the attraction on the map of the larger; a map
that goes to an actor and back, for the connection.  Counted: what each stage sends.  Others'
processors are taken to be like this one, and a connection of B Gb/s to carry 0.8 B.

An iteration takes the longer of what the client computes, and of sending the map to each worker
and the attraction there; the client's connection carries all maps.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from common import clusters

from fasttsne import TSNE, _kernels
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.objective import make_objective
from fasttsne.runtime.progress import report_progress_to

K, N_ITER, N_MOMENTS = 90, 276, 30
FEW_ROWS = 20_000
LINE = "{:>9}{:>11}{:>10}{:>10}{:>10}{:>10}{:>12}{:>12}{:>10}  {}"


@dataclass(frozen=True)
class Costs:
    """Processor seconds for so many rows, and the exponents by which they grow.

    search, graph : of all rows.  client, attraction : of an iteration.  chain : of a pass over the
    rows whose sums go from worker to worker.  n_iter : iterations that these rows took.
    """

    n: int
    search: float
    graph: float
    client: float
    attraction: float
    chain: float
    search_power: float
    graph_power: float
    n_iter: int

    def at(self, name: str, n: int) -> float:
        power = getattr(self, f"{name}_power", 1.0)
        return float(getattr(self, name) * (n / self.n) ** power)


@dataclass(frozen=True)
class Machines:
    """Machines of so many cores; the client has one more.

    bandwidth : bytes a second; latency : seconds of a call of all actors.
    shared_cores : all that there are, where workers and client share one machine; else 0.
    """

    count: int
    cores: int
    bandwidth: float
    latency: float
    shared_cores: int = 0


def measure(n: int, d: int) -> Costs:
    """Measure the costs of ``n`` rows of ``d`` columns."""
    small, large = (measure_search_and_graph(size, d) for size in (n // 4, n))
    powers = (np.log(np.divide(large[:2], small[:2])) / np.log(4)).tolist()
    X, affinities = large[2:]
    iterations = Iterations()
    with report_progress_to(iterations):
        embedding = TSNE(n_jobs=1, random_state=0).fit(
            affinities=affinities, initialization=(X[:, :2] / X[:, 0].std() * 1e-4)
        )
    attraction = measure_attraction(embedding)
    start = time.process_time()
    X.sum(0, dtype=np.float64), X.T @ X
    return Costs(
        n,
        *large[:2],
        iterations.seconds / iterations.count - attraction,
        attraction,
        time.process_time() - start,
        *powers,
        iterations.count,
    )


def measure_search_and_graph(n, d):
    X = clusters(n, d)
    moments = []
    with report_progress_to(lambda progress: moments.append((progress.name, time.process_time()))):
        start = time.process_time()
        affinities = PerplexityBasedNN(X, perplexity=K / 3, n_jobs=1, random_state=0)
        end = time.process_time()
    found = next(moment for name, moment in moments if name == "conditional affinities")
    return found - start, end - found, X, affinities


class Iterations:
    """Hears how many iterations there are, and what they take."""

    def __init__(self):
        self.count, self.seconds, self._start = 0, 0.0, None

    def __call__(self, progress):
        if progress.unit != "iterations":
            return
        if self._start is None:
            self._start = time.process_time()
        if progress.has_ended:
            self.count += int(progress.done)
            self.seconds = time.process_time() - self._start


def measure_attraction(embedding):
    """Processor seconds of an iteration for what workers do in it."""
    objective = make_objective("bh", embedding.affinities, 2, 1.0, 1, {"theta": 0.5})
    order = embedding.optimizer.state.order
    objective.reorder(order)
    y = np.asarray(embedding)[order].astype(np.float32)
    out, (degree, product) = np.empty_like(y), (np.empty(len(y), np.float32), np.empty_like(y))
    moments = np.empty((len(y), 3), np.float32)
    start = time.process_time()
    for _ in range(5):
        _kernels.attraction.attraction(*objective._edges.packed, y, out, 1.0, False, 1)
    attraction = (time.process_time() - start) / 5
    start = time.process_time()
    objective.edge_moments(y, y, degree, moments, product)
    return attraction + (time.process_time() - start) * N_MOMENTS / N_ITER


def predict(
    costs: Costs, machines: Machines, n: int, d: int, n_iter: int = N_ITER
) -> dict[str, float]:
    """Return seconds of each stage, bytes of memory and of traffic."""
    cores = machines.count * machines.cores
    row_bytes, map_bytes = 4 * d * n, 8 * n

    def on_workers(stage):
        return costs.at(stage, n) / min(cores, machines.shared_cores or cores)

    # Rows are regrouped once, and the border of each group is sent, about as much again; reverse
    # edges and the graph's blocks go from worker to worker.
    share = (machines.count - 1) / machines.count
    exchange = share * (2 * row_bytes + 16 * K * n) / (machines.count * machines.bandwidth)
    sent = map_bytes * (machines.count + 1)
    there_and_back = sent / machines.bandwidth + machines.latency
    client = costs.at("client", n) / min(machines.cores, machines.shared_cores or machines.cores)
    attraction = on_workers("attraction")
    if machines.shared_cores:  # all of it takes the same cores
        iteration = client + attraction + there_and_back
        bound = "cores"
    else:
        iteration = max(client, attraction + there_and_back)
        bound = "client" if iteration == client else "sending the map"
    return {
        "chain": costs.at("chain", n) + map_bytes / machines.bandwidth,
        "search": on_workers("search") + exchange,
        "graph": on_workers("graph"),
        "iteration": iteration,
        "descent": n_iter * iteration,
        "bound": bound,
        "traffic": sent / machines.count,
        "worker": (12 * d * n + 3000 * n) / machines.count + 3 * map_bytes,
        "client": 750 * n,
    }


def total(found):
    return sum(found[name] for name in ("chain", "search", "graph", "descent"))


def show_table(costs, n, d, gigabits):
    print(f"{n:,} x {d}, machines of 16 cores, {gigabits:g} Gb/s")
    print(
        LINE.format(
            "machines",
            "chain: s",
            "search",
            "graph",
            "iteration",
            "descent",
            "total: h",
            "worker: GB",
            "client",
            "an iteration waits for",
        )
    )
    for count in (4, 8, 16, 32, 64):
        found = predict(costs, Machines(count, 16, 0.8 * gigabits * 1e9 / 8, 5e-3), n, d)
        seconds = (found[name] for name in ("chain", "search", "graph", "iteration", "descent"))
        print(
            LINE.format(
                count,
                *(f"{each:.1f}" for each in seconds),
                f"{total(found) / 3600:.2f}",
                f"{found['worker'] / 1e9:.1f}",
                f"{found['client'] / 1e9:.1f}",
                found["bound"],
            )
        )


def check(costs, n, d):
    """Predict fits on 1 to 3 workers of this machine's two cores, and run them.

    What Dask's tasks take, whatever the rows are, is measured by a fit of few rows.
    """
    import tempfile

    from cluster import run_one

    bandwidth, latency = measure_connection(n)
    print(f"connection: {bandwidth / 1e9:.2f} GB/s, {1e3 * latency:.1f} ms a call")
    with tempfile.TemporaryDirectory() as folder:
        few, many = f"{folder}/few.npy", f"{folder}/many.npy"
        np.save(few, clusters(FEW_ROWS, d))
        np.save(many, clusters(n, d))
        for count in (1, 2, 3):
            machines = Machines(count, 1, bandwidth, latency, 2)
            found = predict(costs, machines, n, d, costs.n_iter)
            of_few = predict(costs, machines, FEW_ROWS, d)
            _, seconds, descent, *_ = run_one(few, count, [])
            tasks = seconds - descent - (total(of_few) - of_few["descent"])
            _, seconds, descent, *_, traffic = run_one(many, count, [])
            print(
                f"{count} workers: descent {found['descent']:.1f} s predicted, {descent:.1f} s "
                f"measured; whole {total(found) + tasks:.1f} s, {seconds:.1f} s; traffic of an "
                f"iteration {found['traffic'] / (8 * n):.2f}, {traffic:.2f} x 8 bytes a point "
                "and worker",
                flush=True,
            )


def measure_connection(n):
    """Bytes a second, and seconds of a call, of an actor on a worker that returns what it gets."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        actor = client.submit(Echo, actor=True).result()
        seconds = []
        for array in np.zeros(2, np.float32), np.zeros((n, 2), np.float32):
            actor.back(array).result()
            start = time.perf_counter()
            for _ in range(5):
                actor.back(array).result()
            seconds.append((time.perf_counter() - start) / 5)
    return 16 * n / max(seconds[1] - seconds[0], 1e-6), seconds[0]


class Echo:
    def back(self, array):
        return array


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--gigabits", type=float, default=10)
    parser.add_argument("--measure-rows", type=int, default=200_000)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    costs = measure(options.measure_rows, options.columns)
    print(costs)
    if options.check:
        check(costs, options.rows, options.columns)
    else:
        show_table(costs, options.rows, options.columns, options.gigabits)


if __name__ == "__main__":
    main()
