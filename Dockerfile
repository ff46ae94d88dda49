# docker build -t howfar .            two gigabytes more where pip takes a torch for GPUs
# docker run -it -v howfar-results:/howfar/results howfar             the book: make book
# docker run -it howfar make test
FROM debian:trixie-slim
COPY . /howfar
RUN sh /howfar/container/setup.sh
WORKDIR /howfar
ENV PATH=/howfar/.venv/bin:$PATH LANG=C.UTF-8
CMD ["make", "book"]
