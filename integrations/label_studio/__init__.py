"""Label Studio community: lanes, tasks, people, and a local server for the demo and the tests."""
