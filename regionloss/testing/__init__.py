"""For plugin authors: contract tests, one class per hook, and small fakes to test against."""
