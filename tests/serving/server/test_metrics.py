from serving.server.metrics import Metrics


def test_a_name_with_quotes_does_not_end_its_label():
    metrics = Metrics()
    metrics.record('a"b\\c', "REST", "OK", 0.001)
    lines = metrics.text('a"b\\c', {3: True}).splitlines()
    assert ':tensorflow:serving:request_count{model_name="a\\"b\\\\c",status="OK"} 1' in lines
    assert ':mtl:serving:version{model_name="a\\"b\\\\c",version="3"} 1' in lines
    assert all(line.startswith("#") or 'model_name="a\\"b\\\\c"' in line for line in lines)
