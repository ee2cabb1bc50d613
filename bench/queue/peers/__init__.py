"""The other queues, each as a program in an environment of its own: nothing of ours is in it."""
