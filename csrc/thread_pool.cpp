#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace ohlora {
namespace {

int process_id() {
#if defined(_WIN32)
    return _getpid();
#else
    return static_cast<int>(getpid());
#endif
}

// One call of parallel_for; it lives on its caller's stack until every helper has left it.
struct Loop {
    const std::function<void(int, int)>& body;
    const int tasks;
    int seats;                // helpers still wanted; guarded by the pool's mutex
    int inside = 0;           // helpers at work; guarded by the pool's mutex
    int next_slot = 1;        // the caller has slot 0; guarded by the pool's mutex
    std::atomic<int> next{0};
    std::condition_variable left{};
    std::mutex failing{};
    std::exception_ptr failure{};  // the first; guarded by `failing` until every helper has left

    void work(int slot) {
        try {
            for (int task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) body(slot, task);
        } catch (...) {
            next.store(tasks);  // no further task begins
            std::lock_guard<std::mutex> lock(failing);
            if (!failure) failure = std::current_exception();
        }
    }
};

class Pool {
public:
    explicit Pool(int owner) : owner_(owner) {}
    int owner() const { return owner_; }

    void run(Loop& loop, int helpers) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            grow(helpers);
            keep_off_this_cpu();
            waiting_.push_back(&loop);
        }
        for (int i = 0; i < helpers; ++i) wake_.notify_one();
        loop.work(0);
        std::unique_lock<std::mutex> lock(mutex_);
        waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &loop), waiting_.end());
        loop.left.wait(lock, [&loop] { return loop.inside == 0; });
    }

private:
    // Workers are never joined: they sleep until the process ends, and the pool is never destroyed.
    void grow(int wanted) {
        while (static_cast<int>(workers_.size()) < wanted) {
            try {
                std::thread worker([this] { serve(); });
                workers_.push_back(worker.native_handle());
                worker.detach();
                avoided_cpu_ = -1;
            } catch (const std::system_error&) {
                return;  // no more threads to be had: the caller does the work
            }
        }
    }

    // Linux likes to wake a thread on the CPU of whoever wakes it, where it would wait until the caller has done all
    // the work alone: on 2 cores the first 60 images of 1024² took 0.95 ms each instead of 0.65. So workers may run on
    // any of the caller's CPUs but the one it is on.
    void keep_off_this_cpu() {
#if defined(__linux__) && defined(__GLIBC__)
        const int here = sched_getcpu();
        cpu_set_t allowed;
        if (here < 0 || here == avoided_cpu_ || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
        CPU_CLR(here, &allowed);
        if (CPU_COUNT(&allowed) == 0) return;
        for (const std::thread::native_handle_type worker : workers_)
            pthread_setaffinity_np(worker, sizeof(allowed), &allowed);
        avoided_cpu_ = here;
#endif
    }

    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return !waiting_.empty(); });
            Loop& loop = *waiting_.front();
            const int slot = loop.next_slot++;
            ++loop.inside;
            if (--loop.seats == 0) waiting_.pop_front();
            lock.unlock();
            loop.work(slot);
            lock.lock();
            if (--loop.inside == 0) loop.left.notify_one();
        }
    }

    const int owner_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Loop*> waiting_;
    std::vector<std::thread::native_handle_type> workers_;
    int avoided_cpu_ = -1;  // the workers stay off it; guarded by the mutex
};

// A forked child inherits the pointer but none of the threads, and perhaps a locked mutex: it leaves that pool alone.
Pool& pool() {
    static std::atomic<Pool*> current{nullptr};
    Pool* seen = current.load();
    const int here = process_id();
    while (seen == nullptr || seen->owner() != here) {
        Pool* fresh = new Pool(here);
        if (current.compare_exchange_strong(seen, fresh)) return *fresh;
        delete fresh;
    }
    return *seen;
}

}  // namespace

int default_threads() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(int tasks, int threads, const std::function<void(int, int)>& body) {
    const int helpers = std::min(threads, tasks) - 1;
    Loop loop{body, tasks, helpers};
    if (helpers <= 0) {
        loop.work(0);
    } else {
        pool().run(loop, helpers);
    }
    if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace ohlora
