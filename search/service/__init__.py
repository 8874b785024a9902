"""A bundle as an HTTP service.

- `limits`: what a request may take, and who may ask.
- `uploads`: the body of a request -> a file.
- `answers`: a file -> scores as plain data; their models, which the OpenAPI description shows.
- `app`: the routes and the errors.
"""
