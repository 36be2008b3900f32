"""The demonstration: the app's way of writing posts beside postgen's, on the same server."""
