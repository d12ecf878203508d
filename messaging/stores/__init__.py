"""Stores keep: one file per database, behind `service.ports.Store`."""
