"""What the Python SDK's own test suite expects of any endpoint: `endpoint_suite.py URL NAME`, NAME one of its tests."""

import sys
import unittest

import dispatch.test

url, name = sys.argv[1:]


class EndpointTest(dispatch.test.TestCase):
    def dispatch_test_init(self, reg: dispatch.test.Registry) -> str:
        return url

    def dispatch_test_run(self) -> None:
        pass

    def dispatch_test_stop(self) -> None:
        pass


result = unittest.TextTestRunner(stream=sys.stderr).run(EndpointTest(name))
print("passed" if result.wasSuccessful() and result.testsRun == 1 else "failed")
