// headers
