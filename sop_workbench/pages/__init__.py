"""The pages that executives and planners open in a browser: one module each, thin over `views` and `charts`.

A page is one widget (`screen.Screen`): Python says what stands in each block, the browser lays it out and sends back what a person did
by name. No figure is made here; every block takes a view, so notebook, report and page show one number.
"""
