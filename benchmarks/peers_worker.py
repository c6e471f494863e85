"""One engine on series handed over in a file: run by an interpreter that holds it, prints one line of JSON.

`python peers_worker.py list` names the engines this interpreter can run; `python peers_worker.py ENGINE FILE` fits
every series of FILE (npz: `y` [series, day], `x` [series, day, control], `pre`) with a weekly season and the controls,
and prints effect and 90 % interval of the mean effect a day, CPU seconds a fit, and the process's largest memory.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
import warnings

import numpy as np

PERIOD, ALPHA = 7, 0.10


def ours(y, x, pre):
    from benchmarks import null_series as null

    week = np.arange(y.size) % PERIOD
    contrasts = np.column_stack([(week == day).astype(float) - (week == PERIOD - 1) for day in range(PERIOD - 1)])
    spread = x[:pre].std(axis=0)
    columns = np.column_stack([contrasts, (x - x[:pre].mean(axis=0)) / spread])
    found = null.measure_null(null.NullSeries(y, columns, pre, 0.0, spread, np.zeros((y.size, 0))))
    return found.middle, found.low, found.high, None


def rust(y, x, pre):
    import pandas as pd
    from causal_impact import CausalImpact

    data = pd.DataFrame(np.column_stack([y, x]), columns=["y", *(f"x{k}" for k in range(x.shape[1]))])
    made = CausalImpact(data, [0, pre - 1], [pre, y.size - 1], model_args={"nseasons": PERIOD, "seed": 1}, alpha=ALPHA)
    return _from_effects(made, pre)


def _from_effects(made, pre):
    """Average effect and its interval from whatever the package calls it."""
    inferences = made.inferences
    columns = {name.lower(): name for name in inferences.columns}

    def mean_of(*names):
        for name in names:
            if name in columns:
                return float(inferences[columns[name]].iloc[pre:].mean())
        raise KeyError(f"none of {names} in {list(inferences.columns)}")

    summary = getattr(made, "summary_data", None)
    if summary is not None and "abs_effect_lower" in summary.index:
        average = summary["average"]
        return (*(float(average[f"abs_effect{end}"]) for end in ("", "_lower", "_upper")), _inclusion(made))
    results = getattr(made, "_results", None) or getattr(made, "results", None)
    if results is not None and hasattr(results, "point_effect_mean"):
        low, high = float(results.ci_lower), float(results.ci_upper)
        return float(results.point_effect_mean), low, high, _inclusion(made)
    return mean_of("point_effect", "effect"), mean_of("effect_lower"), mean_of("effect_upper"), _inclusion(made)


def _inclusion(made):
    found = getattr(made, "posterior_inclusion_probs", None)
    return None if found is None else [float(value) for value in np.ravel(found)]


def kalman(y, x, pre):
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UnobservedComponents(y[:pre], level="llevel", seasonal=PERIOD, autoregressive=1, exog=x[:pre])
        fitted = model.fit(disp=0, maxiter=100)
        ahead = fitted.get_forecast(y.size - pre, exog=x[pre:])
    n = y.size - pre
    states = fitted.simulate(n, anchor="end", repetitions=1000, exog=x[pre:], rng=1)
    means = np.asarray(states).reshape(n, -1).mean(axis=0)
    came = float(y[pre:].mean())
    low, high = np.quantile(came - means, [ALPHA / 2, 1 - ALPHA / 2])
    return came - float(np.mean(ahead.predicted_mean)), float(low), float(high), None


def mle(y, x, pre):
    import pandas as pd
    from causalimpact import CausalImpact

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = CausalImpact(
            pd.DataFrame(np.column_stack([y, x])),
            [0, pre - 1],
            [pre, y.size - 1],
            nseasons=[{"period": PERIOD}],
            alpha=ALPHA,
        )
    average = made.summary_data["average"]
    return (*(float(average[f"abs_effect{end}"]) for end in ("", "_lower", "_upper")), None)


ENGINES = {
    "rechannel": ("rechannel", ours),
    "bsts-causalimpact": ("causal_impact", rust),
    "statsmodels": ("statsmodels", kalman),
    "pycausalimpact": ("causalimpact", mle),
}


def _peak_mib():
    """Largest memory of this process; the kernel's own record, since `getrusage` starts from that of the parent."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments):
    if arguments == ["list"]:
        print(json.dumps([name for name, (module, _) in ENGINES.items() if importlib.util.find_spec(module)]))
        return
    name, path = arguments
    data = np.load(path)
    run = ENGINES[name][1]
    y, x, pre = data["y"], data["x"], int(data["pre"])
    started = time.perf_counter()
    run(y[0], x[0], pre)
    first = time.perf_counter() - started
    rows, inclusion = [], []
    began, wall = time.process_time(), time.perf_counter()
    for one, controls in zip(y, x, strict=True):
        middle, low, high, chosen = run(one, controls, pre)
        rows.append([middle, low, high])
        if chosen is not None:
            inclusion.append(chosen)
    spent = (time.process_time() - began) / len(y)
    print(
        json.dumps(
            {
                "engine": name,
                "version": _version(name),
                "intervals": rows,
                "inclusion": inclusion,
                "cpu_seconds": spent,
                "wall_seconds": (time.perf_counter() - wall) / len(y),
                "first_call_seconds": first,
                "peak_rss_mib": _peak_mib(),
            }
        )
    )


def _version(name):
    from importlib.metadata import version

    return version(name)


if __name__ == "__main__":
    main(sys.argv[1:])
