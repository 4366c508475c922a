from bench.results import Result


def measure(quick: bool) -> list[Result]:
    return []
