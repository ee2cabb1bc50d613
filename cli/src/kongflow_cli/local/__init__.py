"""The development system on this machine: started, watched and ended by `kongflow up`."""
